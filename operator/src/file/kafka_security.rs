//! What `spec.kafka.security` may hold.

use super::{parse, tests::check_example_refused};
use crate::crd::{KafkaProtocol, SaslMechanism};

const SECURED: &str = include_str!("../../../crds/examples/secured-kafka.yaml");
const FIELD: &str = "spec.kafka.security";
const SASL: &str = "      sasl:\n        mechanism: ScramSha512\n        username: notifications\n        \
                    passwordSecretRef: { name: notifications-kafka, key: password }\n";

#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    check_example_refused(SECURED, from, to, &format!("{FIELD}{expected}"));
}

#[test]
fn without_a_word_connections_are_plain_and_passwords_are_proven_by_scram() {
    let quickstart = include_str!("../../../crds/examples/quickstart.yaml");
    let security = parse(quickstart, None).expect("accepted").spec.kafka.security;
    assert_eq!((security.protocol, security.secrets().count()), (KafkaProtocol::Plaintext, 0));
    let text = SECURED.replacen("        mechanism: ScramSha512\n", "", 1);
    let sasl = parse(&text, None).expect("accepted").spec.kafka.security.sasl.expect("sasl");
    assert_eq!(sasl.mechanism, SaslMechanism::ScramSha512);
}

#[test]
fn user_and_password_go_with_the_protocols_that_ask_for_them() {
    let expected = ": security must hold sasl with the protocols SaslPlaintext and SaslSsl, and only with them";
    check("protocol: SaslSsl", "protocol: Ssl", expected);
    check(SASL, "", expected);
}

#[test]
fn certificates_go_with_the_protocols_that_encrypt() {
    check("protocol: SaslSsl", "protocol: SaslPlaintext", ": tls goes only with the protocols Ssl and SaslSsl");
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let ca = "caSecretRef: { name: kafka-cluster-ca-cert, key: ca.crt }";
    let certificate = "clientCertificateSecretRef: { name: client, key: user.crt }";
    let key = "clientKeySecretRef: { name: client, key: user.key }";
    let expected = ".tls: clientCertificateSecretRef and clientKeySecretRef go only together";
    check(ca, certificate, expected);
    check(ca, key, expected);
    let both = SECURED.replacen(ca, &format!("{certificate}\n        {key}"), 1);
    let security = parse(&both, None).expect("accepted").spec.kafka.security;
    assert_eq!(security.secrets().count(), 3);
}

#[test]
fn the_user_s_name_comes_from_one_place() {
    let expected = ".sasl: sasl must hold either username or usernameSecretRef";
    let reference = "usernameSecretRef: { name: notifications-kafka, key: username }";
    check("        username: notifications\n", "", expected);
    check("username: notifications", &format!("username: notifications\n        {reference}"), expected);
    parse(&SECURED.replacen("username: notifications", reference, 1), None).expect("accepted");
    check(
        "username: notifications",
        "username: $(HOME)",
        ".sasl.username: username must have 1 to 253 characters and no '$'; any other goes into a Secret",
    );
}
