//! Certificates as text for people.

use std::fmt::Write as _;

use jiff::Timestamp;
use windlass_core::acme::Why;
use windlass_core::acme::served::{Served, Stand};

use super::view::{CertificateView, DueView, Origin};

/// All of them, one on a line.
pub fn table(views: &[CertificateView]) -> String {
    let head = ["NAME", "FROM", "UNTIL", "DAYS", "NEXT ORDER", "SERVED"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(views.iter().map(row)).collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:<width$}  "))
            .collect();
        _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// What the nodes serve alone, where nothing else can be known.
pub fn outside(views: &[CertificateView]) -> String {
    let mut text = String::from("\n");
    let width = views.iter().map(|view| view.name.as_str().len()).max();
    let width = width.unwrap_or(0).max("CERTIFICATE".len());
    _ = writeln!(
        text,
        "{:<width$}  {:<16}  DAYS  SERVED",
        "CERTIFICATE", "UNTIL"
    );
    for view in views {
        let newest = view.served.iter().filter(|own| own.stand == Stand::Current);
        let newest = newest.filter_map(|own| own.until.zip(own.days_left)).next();
        let (until, days) = newest.map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |(until, days)| (minute(until), days.to_string()),
        );
        _ = writeln!(
            text,
            "{:<width$}  {until:<16}  {days:<4}  {}",
            view.name,
            served(&view.served)
        );
    }
    text
}

fn row(view: &CertificateView) -> [String; 6] {
    let nothing = || "-".to_owned();
    let from = match (view.origin, &view.authority) {
        (Origin::Ordered, Some(authority)) => authority.to_string(),
        (Origin::Secret, _) => "secret".to_owned(),
        _ => "file".to_owned(),
    };
    let in_use = view.in_use.as_ref();
    [
        view.name.to_string(),
        from,
        in_use.map_or_else(nothing, |own| minute(own.until)),
        in_use.map_or_else(nothing, |own| own.days_left.to_string()),
        view.due.as_ref().map_or_else(nothing, next),
        served(&view.served),
    ]
}

fn next(due: &DueView) -> String {
    let why = words(due.why);
    match (due.now, due.put_off) {
        (true, _) => format!("now: {why}"),
        (false, true) => format!("{}: {why}, put off", minute(due.at)),
        (false, false) => format!("{}: {why}", minute(due.at)),
    }
}

fn words(why: Why) -> &'static str {
    match why {
        Why::Missing => "there is none",
        Why::Changed => "something else is wanted",
        Why::Asked => "asked for",
        Why::Suggested => "suggested",
        Why::Ageing => "ageing",
    }
}

fn served(all: &[Served]) -> String {
    if all.is_empty() {
        return "-".to_owned();
    }
    let of = |stand: Stand| -> Vec<&str> {
        let own = all.iter().filter(|own| own.stand == stand);
        own.map(|own| own.node.as_str()).collect()
    };
    let mut text = format!("{} of {}", of(Stand::Current).len(), all.len());
    for (stand, word) in [(Stand::Behind, "behind"), (Stand::Silent, "silent")] {
        let nodes = of(stand);
        if !nodes.is_empty() {
            _ = write!(text, ", {word}: {}", nodes.join(" "));
        }
    }
    text
}

/// One of them, with everything that is known.
pub fn whole(view: &CertificateView) -> String {
    let mut text = format!("{}\n", view.name);
    let mut line = |what: &str, value: String| {
        _ = writeln!(text, "  {what:<12}{value}");
    };
    line("names", view.names.join(", "));
    if !view.sites.is_empty() {
        let sites: Vec<&str> = view.sites.iter().map(|site| site.as_str()).collect();
        line("sites", sites.join(", "));
    }
    match (view.origin, &view.authority) {
        (Origin::Ordered, Some(authority)) => line("from", format!("ordered, from {authority}")),
        (Origin::Secret, _) => line("from", "a secret".to_owned()),
        _ => line("from", "a file".to_owned()),
    }
    match &view.in_use {
        Some(own) => {
            line("serial", own.serial.clone());
            line("issuer", own.issuer.clone());
            line(
                "in force",
                format!("{} to {}", minute(own.from), minute(own.until)),
            );
            line("days left", own.days_left.to_string());
            if let Some(directory) = &own.directory {
                line("directory", directory.clone());
            }
        }
        None => line("in use", "none".to_owned()),
    }
    if let Some(why) = &view.unusable {
        line("unusable", why.clone());
    }
    if let Some(due) = &view.due {
        let rehearsed = if due.rehearsal {
            ", rehearsed first"
        } else {
            ""
        };
        line(
            "next order",
            format!("{}, from {}{rehearsed}", next(due), due.authority),
        );
    }
    if let Some(order) = &view.order {
        line("under way", order.clone());
    }
    if let Some(failed) = &view.failure {
        line(
            "last failure",
            format!("{}: {}", minute(failed.at), failed.why),
        );
    }
    for own in &view.served {
        line(own.node.as_str(), seen(own));
    }
    text
}

fn seen(own: &Served) -> String {
    let stand = match own.stand {
        Stand::Current => "serves it",
        Stand::Behind => "is behind, serves another",
        Stand::Silent => "serves nothing",
    };
    let mut text = format!("{stand} ({} for {}", own.connect.ip(), own.host);
    if let (Some(serial), Some(days)) = (&own.serial, own.days_left) {
        _ = write!(text, ", serial {serial}, {days} days left");
    }
    text.push(')');
    if let Some(problem) = &own.problem {
        _ = write!(text, ": {problem}");
    }
    text
}

/// To the minute; UTC.
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}
