//! https, with a separate test certificate authority for each server.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The certificate of an https server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and `127.0.0.1`, valid, issued by the test CA.
    Good,
    /// For `localhost` and `127.0.0.1`, valid, self-signed.
    SelfSigned,
    /// Like `Good`, but expired years ago.
    Expired,
    /// Like `Good`, but for `other.example`.
    WrongHost,
}

pub(crate) struct Tls {
    pub config: Arc<ServerConfig>,
    pub ca_pem: String,
}

impl Tls {
    pub(crate) fn new(certificate: Certificate) -> io::Result<Self> {
        let ca = CertifiedIssuer::self_signed(ca_params()?, KeyPair::generate().map_err(failed)?)
            .map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let params = server_params(certificate)?;
        let certificate = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            Certificate::Good | Certificate::Expired | Certificate::WrongHost => params.signed_by(&key, &ca),
        }
        .map_err(failed)?;

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(failed)?;
        Ok(Self { config: Arc::new(config), ca_pem: ca.pem() })
    }
}

fn ca_params() -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "stand-in test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Valid for longer than `Expired`, so that only that certificate is expired.
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = (SystemTime::now() + DAY * 30).into();
    Ok(params)
}

fn server_params(certificate: Certificate) -> io::Result<CertificateParams> {
    let names = match certificate {
        Certificate::WrongHost => vec!["other.example".to_owned()],
        Certificate::Good | Certificate::SelfSigned | Certificate::Expired => {
            vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
        }
    };
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "stand-in");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = match certificate {
        Certificate::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1)),
        Certificate::Good | Certificate::SelfSigned | Certificate::WrongHost => {
            ((SystemTime::now() - DAY).into(), (SystemTime::now() + DAY * 30).into())
        }
    };
    Ok(params)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}
