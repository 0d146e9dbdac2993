//! The statements on rows and their seals. Each is prepared once per connection; a cached statement keeps no bound values.

use rusqlite::{Connection, Error, OptionalExtension, Params, Result, Row, params};
use zeroize::Zeroizing;

use super::Entity;
use super::pending::RowId;
use super::seal::{self, Unsealable};

/// The bytes of a row; wiped when dropped.
pub type Value = Zeroizing<Vec<u8>>;

/// A value as it was found, if it opens.
pub(super) type Opened = std::result::Result<Value, Unsealable>;

pub(super) fn value(connection: &Connection, id: &RowId) -> Result<Option<Opened>> {
    let sql = "SELECT rows.value, seals.key FROM rows JOIN seals USING (id) WHERE entity = ?1 AND scope = ?2 AND rows.key = ?3";
    connection
        .prepare_cached(sql)?
        .query_one(params![id.entity as u8, id.scope, id.key], |row| unsealed(id, row))
        .optional()
}

/// Whether there is this row; read from the index alone.
pub(super) fn has(connection: &Connection, id: &RowId) -> Result<bool> {
    number(connection, id).map(|number| number.is_some())
}

pub(super) fn put(connection: &Connection, id: &RowId, value: &Value) -> Result<()> {
    let (seal, sealed) = seal::seal(id, value).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))?;
    let place = match number(connection, id)? {
        Some(number) => Some(number),
        None => spare(connection)?,
    };
    let number = match place {
        Some(number) => {
            let sql = "UPDATE seals SET spare = 0, key = ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![number, *seal])?;
            number
        }
        None => connection
            .prepare_cached("INSERT INTO seals (spare, key) VALUES (0, ?1)")?
            .insert(params![*seal])?,
    };
    let sql = "INSERT INTO rows (id, entity, scope, key, value) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (id) DO UPDATE SET value = excluded.value
               WHERE entity = excluded.entity AND scope = excluded.scope AND key = excluded.key";
    let written =
        connection
            .prepare_cached(sql)?
            .execute(params![number, id.entity as u8, id.scope, id.key, sealed])?;
    // A seal that was called spare belongs to another row: the tables contradict each other, and nothing is overwritten.
    if written == 1 { Ok(()) } else { Err(contradiction()) }
}

fn contradiction() -> Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Error::SqliteFailure(code, Some("a row has the seal of another".to_owned()))
}

pub(super) fn delete(connection: &Connection, id: &RowId) -> Result<()> {
    let Some(number) = number(connection, id)? else {
        return Ok(());
    };
    connection
        .prepare_cached("UPDATE seals SET spare = 1, key = zeroblob(32) WHERE id = ?1")?
        .execute([number])?;
    connection
        .prepare_cached("DELETE FROM rows WHERE id = ?1")?
        .execute([number])
        .map(drop)
}

/// The rows of one kind and conversation.
pub(super) fn list(connection: &Connection, entity: Entity, scope: &[u8]) -> Result<Vec<(RowId, Opened)>> {
    let sql = "SELECT rows.value, seals.key, scope, rows.key FROM rows JOIN seals USING (id) WHERE entity = ?1 AND scope = ?2";
    collect(connection, sql, params![entity as u8, scope], |row| {
        let id = row_id(entity, row, 2)?;
        let value = unsealed(&id, row)?;
        Ok((id, value))
    })
}

/// The rows of one kind in every conversation.
pub(super) fn list_all(connection: &Connection, entity: Entity) -> Result<Vec<(RowId, Opened)>> {
    let sql = "SELECT rows.value, seals.key, scope, rows.key FROM rows JOIN seals USING (id) WHERE entity = ?1";
    collect(connection, sql, params![entity as u8], |row| {
        let id = row_id(entity, row, 2)?;
        let value = unsealed(&id, row)?;
        Ok((id, value))
    })
}

/// Which rows of one kind and conversation there are; read from the index alone.
pub(super) fn ids(connection: &Connection, entity: Entity, scope: &[u8]) -> Result<Vec<RowId>> {
    collect(connection, IDS, params![entity as u8, scope], |row| {
        row_id(entity, row, 0)
    })
}

/// Which rows of one kind there are, in every conversation; read from the index alone.
pub(super) fn all_ids(connection: &Connection, entity: Entity) -> Result<Vec<RowId>> {
    collect(connection, ALL_IDS, params![entity as u8], |row| row_id(entity, row, 0))
}

/// The first key of one kind and conversation from this one on; read from the index alone.
pub(super) fn first_key(connection: &Connection, entity: Entity, scope: &[u8], from: &[u8]) -> Result<Option<Vec<u8>>> {
    connection
        .prepare_cached(FIRST_KEY)?
        .query_one(params![entity as u8, scope, from], |row| row.get(0))
        .optional()
}

/// The last key of one kind and conversation, or the last before this one; read from the index
/// alone.
pub(super) fn last_key(
    connection: &Connection,
    entity: Entity,
    scope: &[u8],
    before: Option<&[u8]>,
) -> Result<Option<Vec<u8>>> {
    let found = match before {
        None => connection
            .prepare_cached(LAST_KEY)?
            .query_one(params![entity as u8, scope], |row| row.get(0)),
        Some(before) => connection
            .prepare_cached(LAST_KEY_BEFORE)?
            .query_one(params![entity as u8, scope, before], |row| row.get(0)),
    };
    found.optional()
}

fn number(connection: &Connection, id: &RowId) -> Result<Option<i64>> {
    let sql = "SELECT id FROM rows WHERE entity = ?1 AND scope = ?2 AND key = ?3";
    connection
        .prepare_cached(sql)?
        .query_one(params![id.entity as u8, id.scope, id.key], |row| row.get(0))
        .optional()
}

fn spare(connection: &Connection) -> Result<Option<i64>> {
    connection
        .prepare_cached(SPARE)?
        .query_one([], |row| row.get(0))
        .optional()
}

fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, read)?.collect()
}

fn row_id(entity: Entity, row: &Row<'_>, column: usize) -> Result<RowId> {
    Ok(RowId {
        entity,
        scope: row.get(column)?,
        key: row.get(column + 1)?,
    })
}

fn unsealed(id: &RowId, row: &Row<'_>) -> Result<Opened> {
    let (sealed, seal) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
    Ok(seal::open(id, seal, sealed))
}

const SPARE: &str = "SELECT id FROM seals WHERE spare LIMIT 1";
const IDS: &str = "SELECT scope, key FROM rows WHERE entity = ?1 AND scope = ?2";
const FIRST_KEY: &str = "SELECT key FROM rows WHERE entity = ?1 AND scope = ?2 AND key >= ?3 ORDER BY key LIMIT 1";
const LAST_KEY: &str = "SELECT key FROM rows WHERE entity = ?1 AND scope = ?2 ORDER BY key DESC LIMIT 1";
const LAST_KEY_BEFORE: &str =
    "SELECT key FROM rows WHERE entity = ?1 AND scope = ?2 AND key < ?3 ORDER BY key DESC LIMIT 1";
const ALL_IDS: &str = "SELECT scope, key FROM rows WHERE entity = ?1";

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;

    #[test]
    fn what_is_searched_by_an_index_is() {
        let connection = connection::open_in_memory().expect("opens");
        for (sql, expected) in [
            (SPARE, "INDEX spare_seals"),
            (IDS, "COVERING INDEX"),
            (ALL_IDS, "COVERING INDEX"),
            (FIRST_KEY, "COVERING INDEX"),
            (LAST_KEY, "COVERING INDEX"),
            (LAST_KEY_BEFORE, "COVERING INDEX"),
        ] {
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .expect("a statement");
            let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))
                .and_then(Iterator::collect)
                .expect("a plan");
            assert!(plan.len() == 1 && plan[0].contains(expected), "{plan:?}");
        }
    }
}
