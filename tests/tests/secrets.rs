//! Encrypted secrets as their owner handles them: written, rendered, rotated, looked after, with the real `age`. No
//! plain text is shown anywhere, and whoever has no key can still look.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windlass_tests::cluster::{Said, program};

const VALUE: &str = "hunter2-is-no-password";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// The starter, with a component that writes a secret to a file.
    fn make() -> anyhow::Result<Self> {
        let place = Self {
            dir: tempfile::tempdir()?,
        };
        let repo = place.repo();
        let into = repo.display().to_string();
        place.windlass(&["init", &into], None)?.ended(0);
        let component = repo.join("components/vault");
        std::fs::create_dir_all(&component)?;
        std::fs::write(
            component.join("component.yaml"),
            "name: vault\non: { role: edge }\nsecrets: [vault_key]\nfiles:\n  - path: /etc/vault.key\n    content: \"{{ secrets.vault_key }}\"\n    secret: true\n",
        )?;
        place.recipients(&[&place.key("worker")?])?;
        // The starter's own, with which the zones are transferred.
        place
            .set("xfer_key", "c2VjcmV0LW9mLXRoaXJ0eS10d28tYnl0ZXMtISE=")?
            .ended(0);
        Ok(place)
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("cluster")
    }

    fn identity(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.key"))
    }

    /// A new identity; its recipient.
    fn key(&self, name: &str) -> anyhow::Result<String> {
        let file = self.identity(name);
        let made = Command::new("age-keygen").arg("-o").arg(&file).output()?;
        anyhow::ensure!(made.status.success(), "age-keygen failed");
        let public = Command::new("age-keygen").arg("-y").arg(&file).output()?;
        Ok(String::from_utf8(public.stdout)?.trim().to_owned())
    }

    fn recipients(&self, keys: &[&str]) -> anyhow::Result<()> {
        let file = self.repo().join("cluster.yaml");
        let text = std::fs::read_to_string(&file)?;
        let text = text.split("\nsecrets:").next().unwrap_or_default();
        let keys = keys.join(", ");
        Ok(std::fs::write(
            &file,
            format!("{text}\nsecrets: {{ recipients: [{keys}] }}\n"),
        )?)
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        for name in ["AGE_IDENTITY", "CERTIFICATES", "SECRETS", "STATE"] {
            command.env_remove(format!("WINDLASS_{name}"));
        }
        command.arg("-C").arg(self.repo()).args(arguments);
        if arguments.first() == Some(&"init") {
            command = Command::new(program()?);
            command.args(arguments);
        }
        Ok(command)
    }

    fn windlass(&self, arguments: &[&str], as_whom: Option<&str>) -> anyhow::Result<Said> {
        let mut command = self.command(arguments)?;
        if let Some(name) = as_whom {
            command.env("WINDLASS_AGE_IDENTITY", self.identity(name));
        }
        Said::of(&mut command)
    }

    fn set(&self, name: &str, value: &str) -> anyhow::Result<Said> {
        let mut input = tempfile::tempfile()?;
        std::io::Write::write_all(&mut input, value.as_bytes())?;
        std::io::Seek::rewind(&mut input)?;
        let mut command = self.command(&["secret", "set", name])?;
        Said::of(command.stdin(Stdio::from(input)))
    }

    fn sealed(&self, name: &str) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(
            self.repo().join(format!("secrets/{name}.age")),
        )?)
    }

    /// What an edge node would hold, with the real secret.
    fn rendered(&self, as_whom: Option<&str>) -> anyhow::Result<String> {
        let out = self.dir.path().join("out");
        let into = out.display().to_string();
        let arguments = ["render", "--out", &into, "--with-secrets"];
        self.windlass(&arguments, as_whom)?.ended(0);
        let file = out.join("vps1/etc/vault.key");
        let mode = std::fs::metadata(&file)?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        Ok(std::fs::read_to_string(file)?)
    }
}

/// An editor that writes this.
fn editor(dir: &Path, script: &str) -> anyhow::Result<String> {
    let file = dir.join("editor.sh");
    std::fs::write(&file, script)?;
    Ok(format!("sh {}", file.display()))
}

#[test]
fn a_secret_is_written_rendered_and_never_shown() -> anyhow::Result<()> {
    let place = Place::make()?;
    place
        .set("vault_key", &format!("{VALUE}\n"))?
        .ended(0)
        .hides(VALUE);
    let sealed = place.sealed("vault_key")?;
    assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    assert_eq!(place.rendered(Some("worker"))?, VALUE);

    // Whoever has no key looks at a stand-in, and is told so.
    let said = place.windlass(&["check"], None)?.ended(0);
    said.names(&["WL211", "secrets/vault_key.age", "--age-identity"]);
    assert_ne!(place.rendered(None)?, VALUE);
    place.key("stranger")?;
    let said = place.windlass(&["check"], Some("stranger"))?.ended(0);
    said.names(&["WL211"]);

    place
        .windlass(&["check"], Some("worker"))?
        .hides(VALUE)
        .hides("vault_key.age");
    place
        .windlass(&["secret", "check"], Some("worker"))?
        .ended(0)
        .names(&["ok: 2 secrets for 1 recipient, and can be decrypted"]);
    Ok(())
}

#[test]
fn a_rendered_secret_is_its_owners_alone_from_the_first_moment() -> anyhow::Result<()> {
    let place = Place::make()?;
    let given = place.dir.path().join("given");
    std::fs::create_dir_all(&given)?;
    std::fs::write(given.join("vault_key"), "x".repeat(60 * 1024))?;
    let out = place.dir.path().join("out");
    let rendering = place.command(&["render", "--with-secrets", "--secrets"])?;
    let mut command = Command::new("bash");
    // Whoever may write no more than 32 KiB is ended in the middle of this secret, so that what stands then is seen.
    command
        .args(["-c", "umask 022; ulimit -f 32 -c 0; exec \"$0\" \"$@\""])
        .arg(rendering.get_program())
        .args(rendering.get_args())
        .arg(&given)
        .arg("--out")
        .arg(&out);
    let ended = command.output()?;
    assert!(!ended.status.success(), "{ended:?}");
    let mode = |path: &str| -> anyhow::Result<u32> {
        Ok(std::fs::metadata(out.join(path))?.permissions().mode() & 0o777)
    };
    let file = std::fs::metadata(out.join("vps1/etc/vault.key"))?;
    assert!(file.len() <= 32 * 1024, "{}", file.len());
    assert_eq!(mode("vps1/etc/vault.key")?, 0o600);
    assert_eq!((mode("vps1")?, mode("vps1/etc")?), (0o700, 0o700));
    Ok(())
}

#[test]
fn what_is_wrong_with_a_secret_is_told() -> anyhow::Result<()> {
    let place = Place::make()?;
    place
        .windlass(&["secret", "check"], None)?
        .ended(1)
        .names(&["WL211", "vault_key", "windlass secret set vault_key"]);
    place.set("vault-key", VALUE)?.ended(2).hides(VALUE);
    place.set("vault_key", "")?.ended(2);
    place.set("vault_key", &"x".repeat(65 * 1024 + 1))?.ended(2);

    // In the clear: refused, and `set` mends it although the repository is refused as a whole.
    let clear = place.repo().join("secrets/vault_key");
    std::fs::create_dir_all(place.repo().join("secrets"))?;
    std::fs::write(&clear, VALUE)?;
    let said = place.windlass(&["check"], Some("worker"))?.ended(1);
    said.names(&["WL170", "secrets/vault_key"]).hides(VALUE);
    place.set("vault_key", VALUE)?.ended(0);
    std::fs::remove_file(&clear)?;

    let path = place.repo().join("secrets/vault_key.age");
    let whole = place.sealed("vault_key")?;
    let broken = whole.replacen("\nYWdl", "\nYYYY", 1);
    assert_ne!(whole, broken);
    std::fs::write(&path, &broken)?;
    let said = place.windlass(&["check"], Some("worker"))?.ended(1);
    said.names(&["WL326", "secrets/vault_key.age"]);
    std::fs::write(&path, &whole)?;

    // Given twice: the worker's own file is used, and that is said.
    let given = place.dir.path().join("given");
    std::fs::create_dir_all(&given)?;
    std::fs::write(given.join("vault_key"), "another-one")?;
    let given = given.display().to_string();
    let said = place.windlass(&["--secrets", &given, "check"], Some("worker"))?;
    said.ended(0).names(&["WL335"]);
    Ok(())
}

#[test]
fn new_recipients_can_read_after_a_rotation() -> anyhow::Result<()> {
    let place = Place::make()?;
    place.set("vault_key", VALUE)?.ended(0);
    let worker = std::fs::read_to_string(place.identity("worker"))?;
    let worker = worker
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .expect("age-keygen writes it");
    let ann = place.key("ann")?;
    place.recipients(&[worker, &ann])?;
    place
        .windlass(&["secret", "check"], Some("worker"))?
        .ended(1)
        .names(&["WL172", "secrets/xfer_key.age", "windlass secret rotate"]);
    // Who cannot read them cannot rotate them either, and nothing is changed.
    let before = place.sealed("xfer_key")?;
    place
        .windlass(&["secret", "rotate"], Some("ann"))?
        .ended(2)
        .names(&["no identity given here"]);
    assert_eq!(place.sealed("xfer_key")?, before);
    place
        .windlass(&["secret", "rotate"], Some("worker"))?
        .ended(0)
        .names(&["2 secrets encrypted anew for 2 recipients"]);
    place.windlass(&["secret", "check"], Some("ann"))?.ended(0);
    assert_eq!(place.rendered(Some("ann"))?, VALUE);
    Ok(())
}

#[test]
fn an_editor_sees_the_text_and_leaves_none_behind() -> anyhow::Result<()> {
    let place = Place::make()?;
    place.set("vault_key", VALUE)?.ended(0);
    let seen = place.dir.path().join("seen");
    let script = format!(
        "{{ cat \"$1\"; echo; stat -c %a \"$1\" \"$(dirname \"$1\")\"; echo \"$1\"; }} >{}\nprintf 'a new one\\n' >\"$1\"\n",
        seen.display()
    );
    let edit = |script: &str| -> anyhow::Result<Said> {
        let mut command = place.command(&["secret", "edit", "vault_key"])?;
        command.env_remove("VISUAL");
        command.env("EDITOR", editor(place.dir.path(), script)?);
        command.env("WINDLASS_AGE_IDENTITY", place.identity("worker"));
        Said::of(&mut command)
    };
    edit(&script)?.ended(0);
    assert_eq!(place.rendered(Some("worker"))?, "a new one");
    let seen = std::fs::read_to_string(seen)?;
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(&lines[..3], [VALUE, "600", "700"], "{seen}");
    let left = Path::new(lines[3]).parent().expect("a folder");
    assert!(!left.exists(), "{} is left", left.display());

    // An editor that fails, or saves nothing, changes nothing.
    let before = place.sealed("vault_key")?;
    edit("printf lost >\"$1\"; exit 1\n")?.ended(2);
    edit(": >\"$1\"\n")?.ended(2);
    edit("true\n")?.ended(0).names(&["as it was"]);
    assert_eq!(place.sealed("vault_key")?, before);
    Ok(())
}

/// Certificate and key for a name, in one text.
fn pem(name: &str) -> anyhow::Result<(String, String)> {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

#[test]
fn a_certificate_can_be_a_secret() -> anyhow::Result<()> {
    let place = Place::make()?;
    place.set("vault_key", VALUE)?.ended(0);
    std::fs::create_dir(place.repo().join("certificates"))?;
    let write = |path: &str, text: &str| std::fs::write(place.repo().join(path), text);
    write(
        "certificates/shop.yaml",
        "names: [shop.example.org]\nsecret: shop_pem\n",
    )?;
    write(
        "sites/shop.yaml",
        "hosts: [shop.example.org]\non: { role: edge }\nport: 8390\ntls: { certificate: shop }\n",
    )?;
    let check = || place.windlass(&["check"], Some("worker"));
    let secret_check = || place.windlass(&["secret", "check"], Some("worker"));
    check()?
        .ended(0)
        .names(&["WL211", "windlass secret set shop_pem"]);
    secret_check()?
        .ended(1)
        .names(&["there is no secret `shop_pem` for the certificate `shop`"]);

    let (certificate, key) = pem("shop.example.org")?;
    let secret = key.lines().nth(1).unwrap_or_default();
    let (other, _) = pem("www.example.org")?;
    let (_, another) = pem("shop.example.org")?;
    for (text, code) in [
        (format!("{other}{key}"), "WL322"),
        (certificate.clone(), "WL321"),
        (format!("{certificate}{another}"), "WL322"),
    ] {
        place.set("shop_pem", &text)?.ended(0).hides(secret);
        check()?.ended(1).names(&[code, "shop_pem"]).hides(secret);
        secret_check()?.ended(1).names(&[code]).hides(secret);
    }
    let (other, its_key) = pem("www.example.org")?;
    place
        .set("shop_pem", &format!("{other}{its_key}"))?
        .ended(0);
    let misses = ["WL323", "does not cover shop.example.org"];
    check()?.ended(1).names(&misses);
    secret_check()?.ended(1).names(&misses);

    // A real haproxy takes it, and nobody is shown any of it.
    let text = format!("{certificate}{key}");
    place.set("shop_pem", &text)?.ended(0);
    check()?.ended(0).hides(secret).hides("shop_pem");
    secret_check()?.ended(0).names(&["ok: 3 secrets"]);
    place.rendered(Some("worker"))?;
    let rendered = place.dir.path().join("out/vps1/etc/haproxy/certs/shop.pem");
    assert_eq!(std::fs::read_to_string(rendered)?, text);
    // Whoever has no key looks at a stand-in.
    place
        .windlass(&["check"], None)?
        .ended(0)
        .names(&["WL211", "secrets/shop_pem.age"]);

    write(
        "certificates/shop.yaml",
        "names: [shop.example.org]\nsecret: shop-pem\n",
    )?;
    check()?.ended(1).names(&["WL159"]);
    Ok(())
}
