//! Ids name records by their content, so that a rebuild from nothing finds the same ids.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Fingerprint;

/// The short form of a fingerprint behind a kind prefix: 80 bits in lower-case base32, 16 characters.
fn short(prefix: &str, fingerprint: Fingerprint) -> String {
    let mut id = data_encoding::BASE32_NOPAD
        .encode(&fingerprint.as_bytes()[..10])
        .to_lowercase();
    id.insert_str(0, prefix);
    id
}

macro_rules! id {
    ($name:ident, $prefix:literal, $what:literal) => {
        #[doc = concat!("The id of a ", $what, ": `", $prefix, "` and 16 base32 characters of its content's hash.")]
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id of the record that these identifying fields describe.
            pub fn of<T: Serialize + ?Sized>(identity: &T) -> Self {
                let json = serde_json::to_vec(identity).expect("identifying fields serialise to JSON");
                Self(short($prefix, Fingerprint::of_parts(&[($what, &json)])))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(SourceId, "src_", "source");
id!(TaskId, "tsk_", "task");
id!(QueryId, "qry_", "query");
id!(TrajectoryId, "trj_", "trajectory");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_a_function_of_content() {
        assert_eq!(
            SourceId::of(&("folder", "iris")),
            SourceId::of(&("folder", "iris"))
        );
        assert_ne!(
            SourceId::of(&("folder", "iris")),
            SourceId::of(&("folder", "wine"))
        );
    }

    #[test]
    fn ids_of_two_kinds_never_meet() {
        assert_ne!(
            SourceId::of("x").as_str()[4..],
            TaskId::of("x").as_str()[4..]
        );
    }

    #[test]
    fn an_id_is_its_prefix_and_sixteen_characters() {
        let id = QueryId::of(&("tsk", "what is the mean?"));
        assert!(id.as_str().starts_with(QueryId::PREFIX));
        assert_eq!(id.as_str().len(), 20);
    }
}
