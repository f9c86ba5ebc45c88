use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretKeyRef;

/// How connections to the brokers are secured. The same settings serve the operator, the API and the processors;
/// changed Secrets are followed within a minute, for which the API and the processors start anew, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.protocol in ['SaslPlaintext', 'SaslSsl'] ? has(self.sasl) : !has(self.sasl)").message("security must hold sasl with the protocols SaslPlaintext and SaslSsl, and only with them"),
    validation = Rule::new("self.protocol in ['Ssl', 'SaslSsl'] || !has(self.tls)").message("tls goes only with the protocols Ssl and SaslSsl")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSecurity {
    /// Whether connections are encrypted, and whether clients say who they are.
    #[serde(default)]
    pub protocol: KafkaProtocol,
    /// Whom to trust, and who we are, where connections are encrypted. When absent, the brokers' certificates must be
    /// signed by an authority that the images trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KafkaTls")]
    pub tls: Option<KafkaTls>,
    /// User name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KafkaSasl")]
    pub sasl: Option<KafkaSasl>,
}

/// Whether connections are encrypted, and whether clients say who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KafkaProtocol {
    /// Neither.
    #[default]
    Plaintext,
    /// Encrypted by TLS.
    Ssl,
    /// Not encrypted, with user name and password.
    SaslPlaintext,
    /// Encrypted by TLS, with user name and password.
    SaslSsl,
}

/// Whom to trust, and who we are. A broker's certificate must name the host that is connected to; that cannot be turned
/// off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.clientCertificateSecretRef) == has(self.clientKeySecretRef)").message("clientCertificateSecretRef and clientKeySecretRef go only together")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTls {
    /// The certificates of the authorities that may have signed those of the brokers, in PEM; those that the images
    /// trust when absent.
    #[serde(default, rename = "caSecretRef", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub ca: Option<SecretKeyRef>,
    /// The certificate that tells the brokers who we are, in PEM, with those between it and the authority.
    #[serde(default, rename = "clientCertificateSecretRef", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub client_certificate: Option<SecretKeyRef>,
    /// The private key of that certificate, in PEM and not encrypted.
    #[serde(default, rename = "clientKeySecretRef", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub client_key: Option<SecretKeyRef>,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.username) != has(self.usernameSecretRef)").message("sasl must hold either username or usernameSecretRef")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSasl {
    /// How they are proven to the brokers.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// The user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[^$]{1,253}$')").message("username must have 1 to 253 characters and no '$'; any other goes into a Secret"))]
    pub username: Option<String>,
    /// The user name as the key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub username_secret_ref: Option<SecretKeyRef>,
    /// The password.
    pub password_secret_ref: SecretKeyRef,
}

/// How user name and password are proven to the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// By sending them (RFC 4616).
    Plain,
    /// Without sending the password (RFC 7677).
    ScramSha256,
    /// Without sending the password, by the longer hash.
    #[default]
    ScramSha512,
}

/// What a key of a Secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KafkaSecret {
    /// The certificates of authorities.
    Ca,
    /// Our certificate.
    ClientCertificate,
    /// Our private key.
    ClientKey,
    /// Our user name.
    Username,
    /// Our password.
    Password,
}

impl KafkaSecret {
    /// The field that names it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Ca => "spec.kafka.security.tls.caSecretRef",
            Self::ClientCertificate => "spec.kafka.security.tls.clientCertificateSecretRef",
            Self::ClientKey => "spec.kafka.security.tls.clientKeySecretRef",
            Self::Username => "spec.kafka.security.sasl.usernameSecretRef",
            Self::Password => "spec.kafka.security.sasl.passwordSecretRef",
        }
    }
}

impl KafkaSecurity {
    /// The keys of Secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = (KafkaSecret, &SecretKeyRef)> {
        let tls = self.tls.iter().flat_map(|tls| {
            [
                (KafkaSecret::Ca, tls.ca.as_ref()),
                (KafkaSecret::ClientCertificate, tls.client_certificate.as_ref()),
                (KafkaSecret::ClientKey, tls.client_key.as_ref()),
            ]
        });
        let sasl = self.sasl.iter().flat_map(|sasl| {
            [
                (KafkaSecret::Username, sasl.username_secret_ref.as_ref()),
                (KafkaSecret::Password, Some(&sasl.password_secret_ref)),
            ]
        });
        tls.chain(sasl).filter_map(|(secret, reference)| Some((secret, reference?)))
    }
}
