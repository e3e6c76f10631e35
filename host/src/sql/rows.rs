//! From the text protocol's columns and cells to the contract's rows.

use mysql_async::{
    Column, Row,
    consts::{ColumnFlags, ColumnType},
};

use crate::contract::Value;

/// The character set of bytes that are no text.
const BINARY: u16 = 63;

/// The cells of a row. A number is one only where the column says so; decimals, dates and JSON are texts, so that nothing is rounded.
pub(super) fn cells(columns: &[Column], row: Row) -> Vec<Value> {
    columns.iter().zip(row.unwrap_raw()).map(|(column, cell)| convert(column, cell)).collect()
}

/// What a row costs the host, in bytes.
pub(super) fn cost(row: &Row) -> usize {
    let cell = |i| match row.as_ref(i) {
        Some(mysql_async::Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    };
    (0..row.len()).map(|i| cell(i) + size_of::<Value>()).sum()
}

fn convert(column: &Column, cell: Option<mysql_async::Value>) -> Value {
    use mysql_async::Value as Cell;
    match cell {
        Some(Cell::Bytes(bytes)) => from_text(column, bytes),
        // The text protocol has none of the following; they are here so that nothing is lost should the driver be cleverer one day.
        Some(Cell::Int(n)) => Value::Signed(n),
        Some(Cell::UInt(n)) => Value::Unsigned(n),
        Some(Cell::Float(n)) => Value::Double(n.into()),
        Some(Cell::Double(n)) => Value::Double(n),
        Some(other @ (Cell::Date(..) | Cell::Time(..))) => Value::Text(other.as_sql(true).trim_matches('\'').into()),
        Some(Cell::NULL) | None => Value::Null,
    }
}

fn from_text(column: &Column, bytes: Vec<u8>) -> Value {
    use ColumnType::{
        MYSQL_TYPE_BIT, MYSQL_TYPE_BLOB, MYSQL_TYPE_DOUBLE, MYSQL_TYPE_FLOAT, MYSQL_TYPE_GEOMETRY, MYSQL_TYPE_INT24, MYSQL_TYPE_LONG,
        MYSQL_TYPE_LONG_BLOB, MYSQL_TYPE_LONGLONG, MYSQL_TYPE_MEDIUM_BLOB, MYSQL_TYPE_SHORT, MYSQL_TYPE_STRING, MYSQL_TYPE_TINY,
        MYSQL_TYPE_TINY_BLOB, MYSQL_TYPE_VAR_STRING, MYSQL_TYPE_VARCHAR, MYSQL_TYPE_YEAR,
    };
    match column.column_type() {
        MYSQL_TYPE_TINY | MYSQL_TYPE_SHORT | MYSQL_TYPE_LONG | MYSQL_TYPE_LONGLONG | MYSQL_TYPE_INT24 | MYSQL_TYPE_YEAR => {
            let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
            let number = if unsigned { parsed(&bytes).map(Value::Unsigned) } else { parsed(&bytes).map(Value::Signed) };
            number.unwrap_or_else(|| text_or_bytes(bytes))
        }
        MYSQL_TYPE_FLOAT | MYSQL_TYPE_DOUBLE => parsed(&bytes).map_or_else(|| text_or_bytes(bytes), Value::Double),
        MYSQL_TYPE_BIT if bytes.len() <= 8 => Value::Unsigned(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))),
        MYSQL_TYPE_STRING
        | MYSQL_TYPE_VAR_STRING
        | MYSQL_TYPE_VARCHAR
        | MYSQL_TYPE_BLOB
        | MYSQL_TYPE_TINY_BLOB
        | MYSQL_TYPE_MEDIUM_BLOB
        | MYSQL_TYPE_LONG_BLOB
            if column.character_set() == BINARY =>
        {
            Value::Bytes(bytes)
        }
        MYSQL_TYPE_BIT | MYSQL_TYPE_GEOMETRY => Value::Bytes(bytes),
        _ => text_or_bytes(bytes),
    }
}

fn parsed<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn text_or_bytes(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or_else(|e| Value::Bytes(e.into_bytes()), Value::Text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(ColumnType::MYSQL_TYPE_LONGLONG, 63, ColumnFlags::empty(), b"-5", Value::Signed(-5))]
    #[case(ColumnType::MYSQL_TYPE_LONGLONG, 63, ColumnFlags::UNSIGNED_FLAG, b"18446744073709551615", Value::Unsigned(u64::MAX))]
    #[case(ColumnType::MYSQL_TYPE_TINY, 255, ColumnFlags::empty(), b"1", Value::Signed(1))]
    #[case(ColumnType::MYSQL_TYPE_DOUBLE, 63, ColumnFlags::empty(), b"1.5e3", Value::Double(1500.0))]
    #[case(ColumnType::MYSQL_TYPE_NEWDECIMAL, 63, ColumnFlags::empty(), b"1.50", Value::Text("1.50".into()))]
    #[case(ColumnType::MYSQL_TYPE_DATETIME, 63, ColumnFlags::BINARY_FLAG, b"2020-01-01 00:00:00", Value::Text("2020-01-01 00:00:00".into()))]
    #[case(ColumnType::MYSQL_TYPE_JSON, 63, ColumnFlags::empty(), b"{}", Value::Text("{}".into()))]
    #[case(ColumnType::MYSQL_TYPE_BLOB, 63, ColumnFlags::BINARY_FLAG, b"text", Value::Bytes(b"text".to_vec()))]
    #[case(ColumnType::MYSQL_TYPE_BLOB, 255, ColumnFlags::empty(), b"text", Value::Text("text".into()))]
    #[case(ColumnType::MYSQL_TYPE_VAR_STRING, 255, ColumnFlags::empty(), b"\xff", Value::Bytes(vec![0xff]))]
    #[case(ColumnType::MYSQL_TYPE_BIT, 63, ColumnFlags::UNSIGNED_FLAG, b"\x01\x02", Value::Unsigned(258))]
    #[case(ColumnType::MYSQL_TYPE_LONG, 63, ColumnFlags::empty(), b"odd", Value::Text("odd".into()))]
    fn by_column(#[case] kind: ColumnType, #[case] charset: u16, #[case] flags: ColumnFlags, #[case] cell: &[u8], #[case] expected: Value) {
        let column = Column::new(kind).with_character_set(charset).with_flags(flags);
        assert_eq!(convert(&column, Some(mysql_async::Value::Bytes(cell.to_vec()))), expected);
        assert_eq!(convert(&column, Some(mysql_async::Value::NULL)), Value::Null);
    }
}
