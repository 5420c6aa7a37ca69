//! The few functions, filters and tests that configuration files need and Tera does not have. None of them
//! can see anything but its arguments.

use std::net::IpAddr;

use serde_json::json;
use tera::{Kwargs, State, Tera, Value};

use crate::release::SERIAL_TOKEN;

pub(super) fn register(tera: &mut Tera) {
    tera.register_function("soa_serial", |_: Kwargs, _: &State| SERIAL_TOKEN);
    tera.register_filter("json", json_text);
    tera.register_filter("txt_quote", |text: &str, _: Kwargs, _: &State| {
        txt_quote(text)
    });
    tera.register_filter("shell_quote", |text: &str, _: Kwargs, _: &State| {
        shell_quote(text)
    });
    tera.register_test("ipv4", |text: &str, _: Kwargs, _: &State| {
        matches!(text.parse(), Ok(IpAddr::V4(_)))
    });
    tera.register_test("ipv6", |text: &str, _: Kwargs, _: &State| {
        matches!(text.parse(), Ok(IpAddr::V6(_)))
    });
}

fn json_text(value: Value, kwargs: Kwargs, _: &State) -> tera::TeraResult<String> {
    let pretty = kwargs.get::<bool>("pretty")?.unwrap_or(false);
    let value = json!(value);
    Ok(if pretty {
        format!("{value:#}")
    } else {
        value.to_string()
    })
}

/// A DNS TXT value as quoted strings of at most 255 bytes; longer ones are cut into several.
fn txt_quote(text: &str) -> String {
    let mut chunks = vec![String::new()];
    let mut length = 0;
    for byte in text.bytes() {
        if length == 255 {
            chunks.push(String::new());
            length = 0;
        }
        length += 1;
        let Some(chunk) = chunks.last_mut() else {
            break;
        };
        match byte {
            b'"' | b'\\' => {
                chunk.push('\\');
                chunk.push(char::from(byte));
            }
            0x20..=0x7e => chunk.push(char::from(byte)),
            _ => chunk.push_str(&format!("\\{byte:03}")),
        }
    }
    let quoted: Vec<String> = chunks.iter().map(|chunk| format!("\"{chunk}\"")).collect();
    quoted.join(" ")
}

/// One word for a POSIX shell, whatever it holds.
pub(super) fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_become_several_quoted_strings() {
        assert_eq!(txt_quote(r#"a "b" \c"#), r#""a \"b\" \\c""#);
        assert_eq!(txt_quote("ü"), r#""\195\188""#);
        let long = txt_quote(&"x".repeat(256));
        assert_eq!(long, format!("\"{}\" \"x\"", "x".repeat(255)));
    }

    #[test]
    fn a_shell_word_stays_one_word() {
        assert_eq!(shell_quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
