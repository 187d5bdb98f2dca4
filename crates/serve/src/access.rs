//! Who asks: by token where there are any, by address on loopback without.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use data_encoding::BASE64;

use crate::error::Refusal;

/// A shorter token could be guessed.
const MIN_TOKEN: usize = 16;

/// The tokens that let in, by their hashes. Each is a client of its own.
#[derive(Clone, Default)]
pub struct Tokens(Vec<blake3::Hash>);

/// Shows how many, never which.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Tokens {
    /// One token a line; empty lines and lines that begin with `#` do not count. Says what is wrong without repeating a token.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut hashes = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let token = line.trim();
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            let line = index + 1;
            if token.len() < MIN_TOKEN {
                return Err(format!(
                    "the token in line {line} has fewer than {MIN_TOKEN} characters; make one with `openssl rand -hex 32`"
                ));
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!(
                    "the token in line {line} has other characters than ASCII letters, digits and signs; make one with \
                     `openssl rand -hex 32`"
                ));
            }
            hashes.push(blake3::hash(token.as_bytes()));
        }
        Ok(Self(hashes))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which client asks.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Client, Refusal> {
        if self.is_empty() {
            check_local(headers)?;
            return Ok(Client(Arc::from(peer.to_canonical().to_string())));
        }
        let given = token(headers).ok_or_else(Refusal::unauthorised)?;
        let given = blake3::hash(&given);
        // Hashes compare in constant time, and all of them are compared.
        let mut found = None;
        for (index, hash) in self.0.iter().enumerate() {
            if *hash == given {
                found = Some(index);
            }
        }
        let index = found.ok_or_else(Refusal::unauthorised)?;
        Ok(Client(Arc::from(format!("token {}", index + 1))))
    }
}

/// The token that a request carries: as a bearer, or as the password of basic authentication, which a URL can hold.
fn token(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at(value.iter().position(|&byte| byte == b' ')?);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = BASE64.decode(rest).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Without a token, a web page in a browser of this machine must not get in: neither by a request across origins nor under a
/// name that was made to point here.
fn check_local(headers: &HeaderMap) -> Result<(), Refusal> {
    let refuse = |message| Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
    if headers.contains_key(ORIGIN) {
        return refuse(
            "requests from web pages are not served without a token; set SYNTH_SERVE_TOKEN",
        );
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let name = host.map_or("", |host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    });
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_local = bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if is_local {
        Ok(())
    } else {
        refuse(
            "without a token only `localhost` and loopback addresses are served; set SYNTH_SERVE_TOKEN",
        )
    }
}

/// Whose sandboxes, files and requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(Arc<str>);

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn with(pairs: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_password_and_each_is_a_client_of_its_own() {
        let tokens = Tokens::read("# ours\n0123456789abcdef\n\nfedcba9876543210\n").unwrap();
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
        let client = |value: &str| tokens.client(&with(&[(AUTHORIZATION, value)]), PEER);
        let basic = format!("Basic {}", BASE64.encode(b"any:0123456789abcdef"));
        let first = client("Bearer 0123456789abcdef").unwrap();
        assert_eq!(client(&basic).unwrap(), first);
        assert_ne!(client("bearer  fedcba9876543210").unwrap(), first);
        for wrong in [
            "Bearer 0123456789abcdeX",
            "Bearer ",
            "Bearer",
            "Basic ???",
            "0123456789abcdef",
        ] {
            assert_eq!(
                client(wrong).unwrap_err().status,
                StatusCode::UNAUTHORIZED,
                "{wrong}"
            );
        }
        assert!(tokens.client(&HeaderMap::new(), PEER).is_err());
    }

    #[test]
    fn a_bad_token_file_is_refused_without_repeating_the_token() {
        for bad in ["tooshort", "0123456789abcdef and more", "é0123456789abcdef"] {
            let problem = Tokens::read(bad).unwrap_err();
            assert!(
                problem.contains("line 1") && !problem.contains(bad),
                "{problem}"
            );
        }
        assert!(Tokens::read("# nothing\n").unwrap().is_empty());
    }

    #[test]
    fn without_a_token_web_pages_and_other_names_are_kept_out() {
        let client = |pairs: &[(axum::http::HeaderName, &str)]| {
            Tokens::default()
                .client(&with(pairs), PEER)
                .map_err(|refusal| refusal.status)
        };
        for host in [
            "localhost:8700",
            "127.0.0.1",
            "[::1]:1",
            "LOCALHOST",
            "127.9.9.9:80",
        ] {
            assert!(client(&[(HOST, host)]).is_ok(), "{host}");
        }
        for host in ["evil.example:8700", "", "192.168.1.2"] {
            assert_eq!(client(&[(HOST, host)]), Err(StatusCode::FORBIDDEN));
        }
        let page = client(&[(HOST, "localhost"), (ORIGIN, "http://localhost")]);
        assert_eq!(page, Err(StatusCode::FORBIDDEN));
    }
}
