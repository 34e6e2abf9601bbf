use stand_in::PublicKey;
use stand_in::keys::{P256, ed25519_private_pem, p384_private_pem, rsa_2048_private_pem};

#[test]
fn private_keys_are_pkcs8_pem_of_64_columns_with_line_feeds() {
    for pem in [
        P256::generate().unwrap().private_pem,
        p384_private_pem().unwrap(),
        rsa_2048_private_pem().unwrap(),
        ed25519_private_pem().unwrap(),
    ] {
        let lines: Vec<_> = pem.lines().collect();
        assert_eq!(lines.first(), Some(&"-----BEGIN PRIVATE KEY-----"));
        assert_eq!(lines.last(), Some(&"-----END PRIVATE KEY-----"));
        assert!(lines.iter().all(|line| line.len() <= 64));
        assert!(pem.ends_with('\n') && !pem.contains('\r'));
        // PKCS#8: a sequence that begins with the version, 0.
        let der = pem::parse(&pem).unwrap().into_contents();
        assert_eq!(der[0], 0x30);
        let version = if der[1] & 0x80 == 0 { 2 } else { 2 + usize::from(der[1] & 0x7f) };
        assert_eq!(der[version..version + 3], [2, 1, 0]);
    }
}

#[test]
fn only_p256_makes_an_accounts_key() {
    let key = P256::generate().unwrap();
    assert!(PublicKey::from_private_key_pem(&key.private_pem).is_ok());
    assert!(PublicKey::from_spki_pem(&key.public_pem).is_ok());

    assert!(PublicKey::from_spki_pem(&key.private_pem).is_err());
    assert!(PublicKey::from_private_key_pem(&key.public_pem).is_err());
    assert!(PublicKey::from_private_key_pem(&p384_private_pem().unwrap()).is_err());
    assert!(PublicKey::from_private_key_pem(&ed25519_private_pem().unwrap()).is_err());
    assert!(PublicKey::from_spki_pem("").is_err());
}
