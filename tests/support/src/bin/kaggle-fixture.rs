//! `kaggle-fixture`: a world on two ports of this machine until it is interrupted, for runs by hand.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use synth_fixtures::{Addresses, Fault, Fixture, Rule, TOKEN, World};

/// Kaggle's API and its storage host on loopback.
#[derive(Debug, Parser)]
struct Arguments {
    /// What there is: `small`, `real:COMPETITIONS.json.gz`, or `many:N`.
    #[arg(long, default_value = "small")]
    world: Source,
    /// Where the API listens; the storage host listens on the next port of 127.0.0.2, or on any where the port is 0.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// With faults that a client has to survive: throttling, cut downloads, changed objects, errors of the server.
    #[arg(long)]
    faults: bool,
    /// Writes the offline dump of competitions (Meta Kaggle) into this folder.
    #[arg(long)]
    meta: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum Source {
    Small,
    Real(PathBuf),
    Many(usize),
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "small" => Ok(Self::Small),
            Some(("real", path)) if !path.is_empty() => Ok(Self::Real(path.into())),
            Some(("many", number)) => {
                let number = number
                    .parse()
                    .map_err(|_| format!("`{number}` is no number of competitions"))?;
                Ok(Self::Many(number))
            }
            _ => Err("one of `small`, `real:PATH`, `many:N` is asked for".into()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let world = match &arguments.world {
        Source::Small => World::small(),
        Source::Real(path) => World::real(path)?,
        Source::Many(number) => World::many(*number),
    };
    if let Some(folder) = &arguments.meta {
        std::fs::create_dir_all(folder)?;
        world.write_meta_kaggle(folder)?;
    }
    let port = match arguments.listen.port() {
        0 => 0,
        port => port.saturating_add(1),
    };
    let storage = match arguments.listen.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)),
        other => other,
    };
    let fixture = Fixture::listen(
        world,
        Addresses {
            api: arguments.listen,
            storage: SocketAddr::new(storage, port),
        },
    )?;
    if arguments.faults {
        for rule in usual_faults() {
            fixture.fault(rule);
        }
    }
    let mut out = io::stdout();
    writeln!(
        out,
        "# the API at {}, files at {}",
        fixture.api_url(),
        fixture.storage_url()
    )?;
    writeln!(out, "export KAGGLE_API_TOKEN={TOKEN}")?;
    writeln!(
        out,
        "synth run --config configs/kaggle.toml --set kaggle.host={}",
        fixture.api_url()
    )?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    writeln!(out, "\n# requests by route")?;
    for (route, count) in fixture.counts() {
        writeln!(out, "{count:>8}  {route}")?;
    }
    Ok(())
}

/// Faults that pass: a client that tries again and goes on with a cut download gets everything.
fn usual_faults() -> Vec<Rule> {
    let throttled = Fault::Throttled {
        retry_after: Some(0),
    };
    vec![
        Rule::new(throttled.clone())
            .route("GetCompetition")
            .after(3)
            .times(2),
        Rule::new(throttled)
            .route("DownloadDataFiles")
            .after(1)
            .times(2),
        Rule::new(Fault::Server(503))
            .route("ListDataFiles")
            .after(2)
            .times(1),
        Rule::new(Fault::NoAnswer)
            .route("ListCompetitionPages")
            .after(2)
            .times(1),
        Rule::new(Fault::NotJson)
            .route("GetLeaderboard")
            .after(1)
            .times(1),
        Rule::new(Fault::EmptyFileList)
            .slug("orchard-harvest")
            .times(1),
        Rule::new(Fault::Int64Strings).slug("ferry-delays"),
        Rule::new(Fault::ExpiredUrl)
            .route("DownloadDataFiles")
            .after(4)
            .times(1),
        Rule::new(Fault::Cut { at: 1000 }).times(3),
        Rule::new(Fault::ChangedEtag).after(1).times(1),
        Rule::new(Fault::IgnoresRange).after(4).times(1),
        Rule::new(Fault::WrongMd5).after(5).times(1),
        Rule::new(Fault::Server(503))
            .route("Storage")
            .after(6)
            .times(1),
    ]
}
