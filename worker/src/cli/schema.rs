//! `windlass schema`: the JSON Schemas, for editors and for whoever reads our JSON.

use std::path::Path;

use anyhow::Context as _;

use super::Exit;
use super::output::Output;

pub(super) fn run(output: &Output, out: Option<&Path>, name: Option<&str>) -> anyhow::Result<Exit> {
    let schemas = crate::schema::all();
    if let Some(dir) = out {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for (file, schema) in &schemas {
            let path = dir.join(file);
            std::fs::write(
                &path,
                format!("{}\n", serde_json::to_string_pretty(schema)?),
            )
            .with_context(|| format!("cannot write {}", path.display()))?;
        }
        output.note(&format!(
            "{} schemas written to {}",
            schemas.len(),
            dir.display()
        ));
        return Ok(Exit::Done);
    }
    let Some(name) = name else {
        let names: Vec<&str> = schemas
            .iter()
            .map(|(file, _)| file.trim_end_matches(".json"))
            .collect();
        output.result(&names, || names.join("\n") + "\n")?;
        return Ok(Exit::Done);
    };
    let wanted = format!("{}.json", name.trim_end_matches(".json"));
    let Some((_, schema)) = schemas.iter().find(|(file, _)| *file == wanted) else {
        output.error(&format!(
            "there is no schema {name:?}; `windlass schema` lists them"
        ));
        return Ok(Exit::Usage);
    };
    output.text(&format!("{}\n", serde_json::to_string_pretty(schema)?));
    Ok(Exit::Done)
}
