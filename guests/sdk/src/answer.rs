//! Reading rows. A server gives a number as a number or as its digits, depending on the protocol: both are read alike.

use crate::{Rows, Value};

/// The answer is not what the statement promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// There is no such column in the row.
    #[error("the answer has no column {0}")]
    NoColumn(usize),
    /// The value is of another kind.
    #[error("column {column} of the answer is {found}, not {expected}")]
    Kind {
        /// Its place, from 0.
        column: usize,
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// One value of a row.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    column: usize,
    value: &'a Value,
}

/// Typed access to rows.
pub trait RowsExt {
    /// The value in a row, both counted from 0. `Ok(None)` where there is no such row.
    ///
    /// # Errors
    /// When the row has no such column.
    fn cell(&self, row: usize, column: usize) -> Result<Option<Cell<'_>>, AnswerError>;

    /// All values of a column.
    ///
    /// # Errors
    /// When a row has no such column.
    fn column(&self, column: usize) -> Result<Vec<Cell<'_>>, AnswerError>;
}

impl RowsExt for Rows {
    fn cell(&self, row: usize, column: usize) -> Result<Option<Cell<'_>>, AnswerError> {
        let Some(row) = self.rows.get(row) else { return Ok(None) };
        let value = row.get(column).ok_or(AnswerError::NoColumn(column))?;
        Ok(Some(Cell { column, value }))
    }

    fn column(&self, column: usize) -> Result<Vec<Cell<'_>>, AnswerError> {
        self.rows.iter().map(|row| Ok(Cell { column, value: row.get(column).ok_or(AnswerError::NoColumn(column))? })).collect()
    }
}

impl<'a> Cell<'a> {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// A text.
    ///
    /// # Errors
    /// When it is none.
    pub fn text(&self) -> Result<&'a str, AnswerError> {
        match self.value {
            Value::Text(text) => Ok(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|_| self.wrong("a text")),
            _ => Err(self.wrong("a text")),
        }
    }

    /// A number from 0 up.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self) -> Result<u64, AnswerError> {
        match self.value {
            Value::Unsigned(number) => Ok(*number),
            Value::Signed(number) => u64::try_from(*number).map_err(|_| self.wrong("a number from 0 up")),
            Value::Boolean(value) => Ok(u64::from(*value)),
            Value::Text(_) | Value::Bytes(_) => self.text()?.parse().map_err(|_| self.wrong("a number from 0 up")),
            _ => Err(self.wrong("a number from 0 up")),
        }
    }

    /// A truth value: 0 and 1, as servers have it.
    ///
    /// # Errors
    /// When it is none.
    pub fn truth(&self) -> Result<bool, AnswerError> {
        match self.value {
            Value::Bytes(bytes) if bytes.len() == 1 && bytes[0] < 2 => Ok(bytes[0] == 1),
            _ => Ok(self.number()? != 0),
        }
    }

    fn wrong(&self, expected: &'static str) -> AnswerError {
        AnswerError::Kind { column: self.column, expected, found: format!("{:?}", self.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(value: Value) -> Rows {
        Rows { columns: vec!["c".to_owned()], rows: vec![vec![value]] }
    }

    #[test]
    fn a_number_is_read_whatever_the_protocol_makes_of_it() {
        for value in [Value::Signed(7), Value::Unsigned(7), Value::Text("7".to_owned()), Value::Bytes(b"7".to_vec())] {
            assert_eq!(rows(value).cell(0, 0).unwrap().unwrap().number(), Ok(7));
        }
        assert!(rows(Value::Text("seven".to_owned())).cell(0, 0).unwrap().unwrap().number().is_err());
        assert!(rows(Value::Signed(-1)).cell(0, 0).unwrap().unwrap().number().is_err());
    }

    #[test]
    fn a_missing_row_is_no_error_and_a_missing_column_is_one() {
        let rows = rows(Value::Null);
        assert!(rows.cell(1, 0).unwrap().is_none());
        assert_eq!(rows.cell(0, 1).unwrap_err(), AnswerError::NoColumn(1));
    }
}
