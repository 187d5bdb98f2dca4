//! An Engine far away: TLS before this machine's, for those only who show a certificate of the same authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use synth_core::config::DockerEndpoint;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Who vouches for a host and for those who may ask it.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    fn vouch(&self) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// The files of somebody who trusts `host` and whom this authority vouches for.
    pub fn files(&self, host: &Self, folder: &Path) -> DockerEndpoint {
        std::fs::create_dir_all(folder).unwrap();
        let write = |name: &str, pem: String| -> PathBuf {
            let path = folder.join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        let (certificate, key) = self.vouch();
        DockerEndpoint {
            ca: write("ca.pem", host.certificate.pem()),
            cert: write("cert.pem", certificate.pem()),
            key: write("key.pem", key.serialize_pem()),
            ..DockerEndpoint::default()
        }
    }

    /// Starts the host; it listens as long as the tasks live.
    pub async fn host(&self, engine: &'static str) -> (String, JoinSet<()>) {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.certificate.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(trusted))
            .build()
            .unwrap();
        let (certificate, key) = self.vouch();
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // Whoever has no right certificate gets no further.
                    let Ok(mut ours) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut theirs = UnixStream::connect(engine).await.unwrap();
                    // It fails when either side goes away.
                    let _ = copy_bidirectional(&mut ours, &mut theirs).await;
                });
            }
        });
        (url, tasks)
    }
}
