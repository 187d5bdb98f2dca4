//! .

use crate::scene::attempts;

attempts![];
