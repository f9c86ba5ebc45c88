//! A listener that wants TLS and a password, with certificates made for it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, tool};

/// Another address than that of the first listener, so that the log tells which port is whose.
pub(super) const ADDRESS: &str = "127.0.0.2";
const USER: &str = "sms";
/// It is in the formatted data that every broker gets a copy of, and opens nothing but brokers on loopback.
const PASSWORD: &str = "a-password-for-tests";
/// Source: KIP-651 takes a key in PKCS #8 and the certificates after it in one file.
const KEY_STORE: &str = "server-store.pem";
const OPENSSL_SETTINGS: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
subjectAltName = IP:127.0.0.2
[client]
extendedKeyUsage = clientAuth
";

/// A listener that wants TLS and a password by SCRAM-SHA-512. Who shows a certificate must have one of its authority.
#[derive(Clone, Debug)]
pub struct SecureListener {
    folder: PathBuf,
    port: u16,
}

impl SecureListener {
    /// Makes an authority in `folder`, and certificates of it for the broker and for a client.
    pub fn prepare(folder: &Path) -> Result<SecureListener, Error> {
        let listener = SecureListener { folder: folder.to_owned(), port: 0 };
        if listener.file(KEY_STORE).exists() {
            return Ok(listener);
        }
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let settings = listener.file("openssl.cnf");
        fs::write(&settings, OPENSSL_SETTINGS).map_err(Error::file("write", settings))?;
        listener.certify("authority", &[])?;
        for name in ["server", "client"] {
            listener.certify(name, &["-CA", "authority.pem", "-CAkey", "authority-key.pem"])?;
        }
        let read = |name| fs::read_to_string(listener.file(name)).map_err(Error::file("read", listener.file(name)));
        let store = read("server-key.pem")? + &read("server.pem")?;
        fs::write(listener.file(KEY_STORE), store).map_err(Error::file("write", listener.file(KEY_STORE)))?;
        Ok(listener)
    }

    /// What clients connect to.
    pub fn bootstrap_servers(&self) -> String {
        format!("{ADDRESS}:{}", self.port)
    }

    /// The certificate of the authority, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// A client's certificate, in PEM.
    pub fn client_certificate(&self) -> PathBuf {
        self.file("client.pem")
    }

    /// The private key of the client's certificate, in PEM.
    pub fn client_key(&self) -> PathBuf {
        self.file("client-key.pem")
    }

    /// The only user.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The user's password.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    pub(super) fn listen_on(&mut self, port: u16) {
        self.port = port;
    }

    /// What `server.properties` says of it, beside its address.
    pub(super) fn properties(&self) -> String {
        let (store, authority) = (self.file(KEY_STORE), self.authority());
        format!(
            "\
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={}
listener.name.secure.ssl.truststore.type=PEM
listener.name.secure.ssl.truststore.location={}
listener.name.secure.ssl.client.auth=requested
",
            store.display(),
            authority.display()
        )
    }

    fn certify(&self, name: &str, signer: &[&str]) -> Result<(), Error> {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-config", "openssl.cnf", "-extensions", name, "-days", "3650", "-nodes"]);
        command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]).args(signer);
        command.args(["-subj", &format!("/CN={name}")]);
        command.args(["-keyout", &format!("{name}-key.pem"), "-out", &format!("{name}.pem")]);
        command.current_dir(&self.folder);
        tool::run(&command, &self.file(&format!("{name}.log")), &mut |_| {})
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The user as `kafka-storage format --add-scram` takes it.
pub(super) fn scram_user() -> String {
    format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
}
