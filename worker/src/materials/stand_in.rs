//! The certificate that stands in for one that this machine was not given, so that `windlass check` works on a
//! laptop. Made once per process and only held in memory; what is rendered with it is never rolled.

use std::sync::OnceLock;

use anyhow::anyhow;
use windlass_core::materials::SecretText;

static STAND_IN: OnceLock<Result<SecretText, rcgen::Error>> = OnceLock::new();

pub(super) fn certificate() -> anyhow::Result<SecretText> {
    let made = STAND_IN.get_or_init(|| {
        let names = vec!["stand-in.windlass.invalid".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        Ok(SecretText::new(&pem))
    });
    match made {
        Ok(pem) => Ok(pem.clone()),
        Err(error) => Err(anyhow!("making a stand-in certificate: {error}")),
    }
}
