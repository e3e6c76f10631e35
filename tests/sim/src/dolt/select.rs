//! `SELECT`, as far as reconcilers use it: columns, variables and functions of one table or none, with conditions joined by AND, an order
//! and a limit.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
    sync::Arc,
};

use foldhash::fast::FixedState;
use host::contract::{Argument, Rows, Value};
use serde_json::json;

use super::{
    Content, Dolt, Role, SYSTEM, accounts,
    sql::{Answer, commits, hash, head},
};

/// How long ago something was last received, in microseconds.
const SILENCE: &str = "TIMESTAMPDIFF(MICROSECOND,MAX(last_update),NOW(6))";

/// A server's role, its epoch, and its volume.
const STANDING: &str = "SELECT @@global.dolt_cluster_role, @@global.dolt_cluster_role_epoch, @@global.server_uuid";

/// When it had its last sign from a primary.
const LAST_SIGN: &str = "SELECT COALESCE(TIMESTAMPDIFF(MICROSECOND, ?, MAX(last_update)), 0) FROM ??.??";

/// What a digest of a password is made of, beside the salt.
const DIGESTED: &str = "|,plugin,authentication_string),256)";

/// The column by which the databases of a server are told.
const DATABASE: &str = "database";

type Row = Vec<(&'static str, Value)>;

/// Answers a query.
pub(super) fn select(dolt: &Dolt, server: &str, database: Option<&str>, text: &str, arguments: &[Argument]) -> Answer {
    let unknown = || Answer::Unknown(format!("{text} with {arguments:?}"));
    if text == "SELECT LOAD_FILE(?)" {
        let kept = dolt.servers.get(server).and_then(|server| dolt.volumes.get(&server.volume)).and_then(|volume| volume.kept_state());
        return Answer::Rows(Rows { columns: vec!["LOAD_FILE".into()], rows: vec![vec![kept.map_or(Value::Null, role_file)]] });
    }
    if text == LAST_SIGN {
        return Answer::Rows(Rows { columns: vec!["last".into()], rows: vec![vec![last_sign(dolt, server)]] });
    }
    if let Some(rest) = text.strip_prefix(STANDING) {
        return standing(dolt, server, rest).unwrap_or_else(|answer| answer.unwrap_or_else(unknown));
    }
    let Some(query) = filled(text, arguments).and_then(|text| parsed(&text)) else { return unknown() };
    let rows = match query.table.as_deref() {
        None => vec![Vec::new()],
        Some(table) => match table_rows(dolt, server, database, &query, table) {
            Some(rows) => rows,
            None => return unknown(),
        },
    };
    let mut rows: Vec<Row> = rows.into_iter().filter(|row| query.conditions.iter().all(|condition| condition.holds(row))).collect();
    for (column, descending) in query.order.iter().rev() {
        rows.sort_by(|a, b| {
            let order = match (cell(a, column), cell(b, column)) {
                (Some(Value::Text(a)), Some(Value::Text(b))) => a.cmp(b),
                (a, b) => a.and_then(text_of).cmp(&b.and_then(text_of)),
            };
            if *descending { order.reverse() } else { order }
        });
    }
    if query.columns == ["COUNT(*)"] {
        let count = i64::try_from(rows.len()).unwrap_or_default();
        return Answer::Rows(Rows { columns: query.columns.clone(), rows: vec![vec![Value::Signed(count)]] });
    }
    if query.columns == [SILENCE] {
        let silence = last_heard(dolt, server, &rows)
            .map_or(Value::Null, |last| Value::Signed(i64::try_from((dolt.now - last) * 1_000).unwrap_or_default()));
        return Answer::Rows(Rows { columns: query.columns.clone(), rows: vec![vec![silence]] });
    }
    let mut answer = Vec::new();
    for row in &rows {
        let mut cells = Vec::new();
        for column in &query.columns {
            if column == "*" {
                cells.extend(row.iter().map(|(_, value)| value.clone()));
                continue;
            }
            if let Some(salt) = column.strip_prefix("SHA2(CONCAT(|").and_then(|rest| rest.strip_suffix(DIGESTED)) {
                let of = (salt, cell(row, "plugin").and_then(text_of), cell(row, "authentication_string").and_then(text_of));
                cells.push(Value::Text(hash(of)));
                continue;
            }
            match cell(row, column).cloned().map_or_else(|| scalar(dolt, server, database, column), Ok) {
                Ok(value) => cells.push(value),
                Err(answer) => return answer.unwrap_or_else(unknown),
            }
        }
        if !(query.distinct && answer.contains(&cells)) {
            answer.push(cells);
        }
    }
    if let Some(limit) = query.limit {
        answer.truncate(limit);
    }
    Answer::Rows(Rows { columns: query.columns.clone(), rows: answer })
}

/// When something of the databases in these rows of its status was last received.
fn last_heard(dolt: &Dolt, server: &str, rows: &[Row]) -> Option<u64> {
    databases_in(rows).iter().filter_map(|database| dolt.last_heard(server, database)).max()
}

/// When something was last received, in microseconds.
fn last_sign(dolt: &Dolt, server: &str) -> Value {
    let last = last_heard(dolt, server, &dolt.status(server, |column| column == DATABASE));
    Value::Signed(last.map_or(0, |last| i64::try_from(last * 1_000).unwrap_or_default()))
}

fn databases_in(status: &[Row]) -> BTreeSet<String> {
    status.iter().filter_map(|row| text_of(cell(row, DATABASE)?)).collect()
}

/// A server's role, its epoch, and its volume; with more words, when it had its last sign from a primary.
fn standing(dolt: &Dolt, server: &str, rest: &str) -> Result<Answer, Option<Answer>> {
    let Some((role, epoch)) = dolt.state(server) else {
        return Err(scalar(dolt, server, None, "@@global.dolt_cluster_role").err().flatten());
    };
    let mut cells = vec![Value::Text(role.to_string()), epoch_of(epoch), uuid(dolt, server)];
    match rest.strip_prefix(", (").and_then(|rest| rest.strip_suffix(')')) {
        Some(LAST_SIGN) => cells.push(last_sign(dolt, server)),
        None if rest.is_empty() => {}
        _ => return Err(None),
    }
    let columns = ["role", "epoch", "uuid", "last"].into_iter().take(cells.len()).map(ToOwned::to_owned).collect();
    Ok(Answer::Rows(Rows { columns, rows: vec![cells] }))
}

/// The file in which a server keeps its role and its epoch.
fn role_file((role, epoch): (Role, u64)) -> Value {
    let file =
        json!({"sqlserver.cluster.dolt_cluster_role": role.to_string(), "sqlserver.cluster.dolt_cluster_role_epoch": epoch.to_string()});
    Value::Text(file.to_string())
}

fn epoch_of(epoch: u64) -> Value {
    Value::Signed(i64::try_from(epoch).unwrap_or_default())
}

/// What a server calls its volume.
fn uuid(dolt: &Dolt, server: &str) -> Value {
    dolt.volume_id(server).map_or(Value::Null, |id| Value::Text(format!("volume-{id}")))
}

/// A variable, a function or a number. Otherwise the server's error, or none for what the model does not know.
fn scalar(dolt: &Dolt, server: &str, database: Option<&str>, column: &str) -> Result<Value, Option<Answer>> {
    if dolt.is_alone(server) && column.starts_with("@@global.dolt_cluster_role") {
        return Err(Some(Answer::Error(1105, format!("Unknown system variable '{column}'"))));
    }
    let (role, epoch) = match dolt.state(server) {
        Some(state) => state,
        None if dolt.is_alone(server) => (Role::Standby, 0),
        None => return Err(Some(Answer::Lost)),
    };
    Ok(match column.to_ascii_lowercase().as_str() {
        "@@global.dolt_cluster_role" => Value::Text(role.to_string()),
        "@@global.dolt_cluster_role_epoch" => epoch_of(epoch),
        "@@global.server_uuid" => uuid(dolt, server),
        "@@hostname" => Value::Text(server.to_owned()),
        "current_user()" => Value::Text("admin@%".into()),
        "active_branch()" => Value::Text("main".into()),
        "dolt_version()" => Value::Text("1.83.2".into()),
        "dolt_hashof_db()" => match database.and_then(|database| dolt.databases(server).get(database).cloned()) {
            Some(content) => {
                Value::Text(hash((content.made, content.writes.first(content.writes.len()), content.branches.iter().collect::<Vec<_>>())))
            }
            None => return Err(Some(Answer::Error(1105, "no database selected".into()))),
        },
        number => Value::Signed(number.parse().map_err(|_| None)?),
    })
}

fn table_rows(dolt: &Dolt, server: &str, database: Option<&str>, query: &Parsed, table: &str) -> Option<Vec<Row>> {
    let text = |value: &str| Value::Text(value.to_owned());
    let content = || database.and_then(|database| dolt.databases(server).get(database).cloned());
    match table.to_ascii_lowercase().as_str() {
        "dolt_cluster.dolt_cluster_status" => Some(dolt.status(server, |column| column == DATABASE || query.names(column))),
        "information_schema.schemata" => {
            let own = ["information_schema", "dolt_cluster"].map(|name| (name.to_owned(), Arc::<Content>::default()));
            let all = dolt.databases(server).into_iter().filter(|(name, _)| !SYSTEM.contains(&name.as_str())).chain(own);
            let row = |(name, content): (String, Arc<Content>)| {
                let (charset, collation) = content.charset();
                let columns = ["schema_name", "default_character_set_name", "default_collation_name"];
                columns.into_iter().zip([name, charset, collation].map(Value::Text)).collect()
            };
            Some(all.map(row).collect())
        }
        table if table.starts_with("mysql.") => accounts::table(&dolt.accounts(server), table),
        "dolt_ignore" => {
            let row = |(pattern, ignored): (String, bool)| vec![("pattern", text(&pattern)), ("ignored", Value::Signed(ignored.into()))];
            Some(content()?.ignore.patterns.clone().into_iter().map(row).collect())
        }
        "dolt_status" => {
            let row = |staged: bool| vec![("table_name", text("dolt_ignore")), ("staged", Value::Signed(staged.into()))];
            Some(content()?.ignore.changes().into_iter().map(row).collect())
        }
        "dolt_branches" => {
            let content = content()?;
            let main = [("main".to_owned(), head(&content))];
            let branches = content.branches.clone();
            Some(main.into_iter().chain(branches).map(|(name, hash)| vec![("name", text(&name)), ("hash", text(&hash))]).collect())
        }
        // A branch beside main is made of a commit of it: it has that one and what came before.
        log if log.starts_with("dolt_log") => {
            let content = content()?;
            let branch = log.trim_start_matches("dolt_log").trim_matches(['(', ')', '|']);
            let all = commits(&content);
            let from = match branch {
                "" | "main" => 0,
                other => {
                    let hash = content.branches.get(other).cloned().unwrap_or_else(|| other.to_owned());
                    all.iter().position(|commit| *commit == hash)?
                }
            };
            Some(all[from..].iter().map(|commit| vec![("commit_hash", text(commit))]).collect())
        }
        _ => None,
    }
}

fn cell<'a>(row: &'a Row, column: &str) -> Option<&'a Value> {
    row.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map(|(_, value)| value)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text.clone()),
        Value::Signed(n) => Some(n.to_string()),
        Value::Unsigned(n) => Some(n.to_string()),
        other => Some(format!("{other:?}")),
    }
}

struct Parsed {
    distinct: bool,
    columns: Vec<String>,
    table: Option<String>,
    conditions: Vec<Condition>,
    order: Vec<(String, bool)>,
    limit: Option<usize>,
}

struct Condition {
    column: String,
    among: Vec<Option<String>>,
    equal: bool,
}

impl Condition {
    /// Its column, and whether what stands in it is taken in lower case.
    fn column(&self) -> (&str, bool) {
        let lower = self.column.strip_prefix("LOWER(").and_then(|column| column.strip_suffix(')'));
        lower.map_or((&self.column, false), |column| (column, true))
    }

    fn holds(&self, row: &Row) -> bool {
        let (column, lower) = self.column();
        let value = cell(row, column).and_then(text_of);
        let value = if lower { value.map(|value| value.to_lowercase()) } else { value };
        self.among.contains(&value) == self.equal
    }
}

/// A statement with its arguments in the places of its placeholders: names as they are, values between bars.
fn filled<'a>(text: &'a str, arguments: &[Argument]) -> Option<Cow<'a, str>> {
    if arguments.is_empty() {
        return (!text.contains('?')).then(|| text.into());
    }
    let mut arguments = arguments.iter();
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('?') {
        filled.push_str(&rest[..at]);
        let width = if rest[at..].starts_with("??") { 2 } else { 1 };
        match arguments.next()? {
            Argument::Identifier(name) => filled.push_str(name),
            Argument::Value(value) => filled.push_str(&format!("|{}|", text_of(value)?)),
        }
        rest = &rest[at + width..];
    }
    filled.push_str(rest);
    Some(filled.into())
}

/// What a statement asks for. The same few are asked all the time.
fn parsed(text: &str) -> Option<Rc<Parsed>> {
    const KEPT: usize = 100;
    thread_local! {
        static BEFORE: RefCell<HashMap<String, Rc<Parsed>, FixedState>> = RefCell::default();
    }
    BEFORE.with_borrow_mut(|before| {
        if let Some(parsed) = before.get(text) {
            return Some(parsed.clone());
        }
        let parsed = Rc::new(Parsed::of(text)?);
        if before.len() == KEPT {
            before.clear();
        }
        before.insert(text.to_owned(), parsed.clone());
        Some(parsed)
    })
}

impl Parsed {
    /// Whether a column is named anywhere in it.
    fn names(&self, column: &str) -> bool {
        let of_conditions = self.conditions.iter().map(|condition| condition.column().0);
        let named = self.columns.iter().chain(self.order.iter().map(|(name, _)| name)).map(String::as_str).chain(of_conditions);
        named.into_iter().any(|name| name == "*" || name.eq_ignore_ascii_case(column))
    }

    fn of(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SELECT ")?;
        let (rest, limit) = split(rest, " LIMIT ");
        let (rest, order) = split(rest, " ORDER BY ");
        let (rest, conditions) = split(rest, " WHERE ");
        let (columns, table) = split(rest, " FROM ");
        let (distinct, columns) = columns.strip_prefix("DISTINCT ").map_or((false, columns), |columns| (true, columns));
        let name = |column: &str| column.split(" AS ").next().unwrap_or_default().trim().replace('`', "");
        Some(Self {
            distinct,
            columns: columns_of(columns).map(|column| name(&column)).collect(),
            table: table.map(|table| table.trim().to_owned()),
            conditions: conditions.map(|c| c.split(" AND ").map(condition).collect::<Option<_>>()).unwrap_or(Some(Vec::new()))?,
            order: order
                .map(|order| {
                    order
                        .split(',')
                        .map(|column| (column.trim().split(' ').next().unwrap_or_default().into(), column.ends_with(" DESC")))
                        .collect()
                })
                .unwrap_or_default(),
            limit: match limit {
                Some(limit) => Some(limit.trim().parse().ok()?),
                None => None,
            },
        })
    }
}

/// The columns: commas inside of parentheses part nothing.
fn columns_of(text: &str) -> impl Iterator<Item = String> {
    let mut columns = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match (c, depth) {
            (',', 0) => columns.push(String::new()),
            (' ', 1..) => {}
            _ => columns.last_mut().expect("there is always one").push(c),
        }
    }
    columns.into_iter()
}

fn split<'a>(text: &'a str, at: &str) -> (&'a str, Option<&'a str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn condition(text: &str) -> Option<Condition> {
    let value = |text: &str| Some(text.trim().trim_matches('|').to_owned());
    let list = |text: &str| text.trim().trim_start_matches('(').trim_end_matches(')').split(',').map(value).collect::<Vec<_>>();
    let made = |column: &str, among: Vec<Option<String>>, equal: bool| Some(Condition { column: column.trim().into(), among, equal });
    if let Some(column) = text.strip_suffix(" IS NOT NULL") {
        return made(column, vec![None], false);
    }
    if let Some(column) = text.strip_suffix(" IS NULL") {
        return made(column, vec![None], true);
    }
    if let Some((column, values)) = text.split_once(" NOT IN ") {
        return made(column, list(values), false);
    }
    if let Some((column, values)) = text.split_once(" IN ") {
        return made(column, list(values), true);
    }
    if let Some((column, wanted)) = text.split_once(" <> ") {
        return made(column, vec![value(wanted)], false);
    }
    // The one pattern that is asked for: a word somewhere.
    if let Some((column, pattern)) = text.split_once(" LIKE ") {
        return made(column, vec![value(pattern.replace('%', "").as_str())], true);
    }
    let (column, wanted) = text.split_once(" = ")?;
    let column = column.strip_prefix("BINARY ").unwrap_or(column);
    made(column, vec![value(wanted)], true)
}
