//! Opens the database file: private to its owner, durable, migrated, and replaced where it is damaged.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use rusqlite_migration::{M, Migrations};

use super::handle::StoreError;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("../roll/schema.sql")),
    M::up(include_str!("../queue/amqp/schema.sql")),
    M::up(include_str!("../acme/schema.sql")),
    M::up(include_str!("previews.sql")),
    M::up(include_str!("../queue/lanes.sql")),
    M::up(include_str!("compared.sql")),
    M::up(include_str!("requests.sql")),
    M::up(include_str!("released.sql")),
    M::up(include_str!("listened.sql")),
    M::up(include_str!("tried.sql")),
    M::up(include_str!("told.sql")),
    M::up(include_str!("../acme/shared.sql")),
    M::up(include_str!("../acme/asked.sql")),
    M::up(include_str!("../roll/told.sql")),
    M::up(include_str!("../queue/breaks.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Another process of ours (the CLI beside the worker) may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    match open_once(path) {
        Err(StoreError::Sqlite(error)) if is_damage(&error) => {
            let aside = move_aside(path)?;
            tracing::error!(
                database = %path.display(), moved_to = %aside.display(), %error,
                "the database is damaged; a new one is begun. Nodes and Git hold the truth, only history is lost"
            );
            open_once(path)
        }
        opened => opened,
    }
}

fn open_once(path: &Path) -> Result<Connection, StoreError> {
    // SQLite gives its journal files the mode of the database.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::file(path, &error))?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    // Keys pass through it: what is deleted is overwritten.
    connection.pragma_update(None, "secure_delete", "on")?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreError::Sqlite(damage(sound)));
    }
    migrate(path, &mut connection)?;
    Ok(connection)
}

/// One process at a time: a command that is given while the worker starts must not make the same tables.
fn migrate(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let lock = sibling(path, ".lock");
    let held = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock)
        .and_then(|held| held.lock().map(|()| held));
    let _held = held.map_err(|error| StoreError::file(&lock, &error))?;
    MIGRATIONS
        .to_latest(connection)
        .map_err(|error| match error {
            rusqlite_migration::Error::RusqliteError { err, .. } => StoreError::Sqlite(err),
            other => StoreError::Schema(other.to_string()),
        })
}

fn damage(why: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(why))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let stamp = jiff::Timestamp::now().as_second();
    let aside = sibling(path, &format!(".damaged-{stamp}"));
    fs::rename(path, &aside).map_err(|error| StoreError::file(path, &error))?;
    for journal in ["-wal", "-shm"] {
        let from = sibling(path, journal);
        if from.exists() {
            fs::rename(&from, sibling(&aside, journal))
                .map_err(|error| StoreError::file(&from, &error))?;
        }
    }
    Ok(aside)
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_schema_is_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn many_open_a_new_one_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("windlass.db");
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || open(&path).map(drop))
            })
            .collect();
        for opened in opening {
            opened.join().unwrap().unwrap();
        }
    }

    #[test]
    fn the_file_is_private_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("windlass.db");
        let _open = open(&path).unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_moved_aside() {
        for garbage in [
            "not a database at all".repeat(500),
            "SQLite format 3\0garbage".repeat(500),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("windlass.db");
            fs::write(&path, garbage).unwrap();
            let connection = open(&path).unwrap();
            let count: i64 = connection
                .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
                .unwrap();
            assert_eq!(count, 0);
            let names: Vec<_> = fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            assert!(
                names.iter().any(|name| name.contains(".damaged-")),
                "{names:?}"
            );
        }
    }
}
