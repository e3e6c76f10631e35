//! Typed reads: methods of `dyn World` that give Rust types, and what a failed read becomes.

use serde::de::DeserializeOwned;

use crate::{
    Failure, Object, ObjectRef, Operator, Page, Query, ReadError, Requirement, Rows, Selection, SqlError, TaskState, Typed, World, kind,
};

impl dyn World + '_ {
    /// The object with its body as `T`, or none.
    ///
    /// # Errors
    /// When the host cannot answer, or the body does not fit.
    pub fn get_as<T: DeserializeOwned>(&self, object: &ObjectRef, fields: &[&str]) -> Result<Option<Typed<T>>, Failure> {
        self.get(object, fields)?.map(Typed::try_from).transpose()
    }

    /// Whether the object is there. Its body is not looked at, so its changes are of no concern.
    ///
    /// # Errors
    /// When the host cannot answer.
    pub fn exists(&self, object: &ObjectRef) -> Result<bool, Failure> {
        Ok(self.get(object, &["/metadata/uid"])?.is_some())
    }

    /// All objects that match, from as many pages as there are.
    ///
    /// # Errors
    /// When the host cannot answer.
    pub fn select_all(&self, selector: &Selector) -> Result<Vec<Object>, Failure> {
        let Page { mut objects, mut next } = self.select(&selector.0)?;
        while next.is_some() {
            let page = self.select(&Selection { page: next, ..selector.0.clone() })?;
            objects.extend(page.objects);
            next = page.next;
        }
        Ok(objects)
    }

    /// All objects that match, with their bodies as `T`.
    ///
    /// # Errors
    /// When the host cannot answer, or a body does not fit.
    pub fn select_as<T: DeserializeOwned>(&self, selector: &Selector) -> Result<Vec<Typed<T>>, Failure> {
        self.select_all(selector)?.into_iter().map(Typed::try_from).collect()
    }

    /// One query on one endpoint: the rows of each statement.
    ///
    /// # Errors
    /// As the server or the host says.
    pub fn query_one(&self, query: Query) -> Result<Vec<Rows>, SqlError> {
        self.query(&[query]).pop().expect("the host answers each query")
    }

    /// The object's task of this name, if it was started and is not forgotten.
    pub fn task(&self, name: &str) -> Option<TaskState> {
        self.tasks().into_iter().find(|task| task.name == name)
    }
}

/// A question for the objects of one kind, put together step by step.
#[derive(Debug, Clone)]
pub struct Selector(Selection);

impl Selector {
    /// All objects of a kind in a namespace; empty: in every namespace that the grant allows, or a cluster-scoped kind.
    pub fn new(api_version: &str, kind_name: &str, namespace: &str) -> Self {
        Self(Selection {
            kind: kind(api_version, kind_name),
            namespace: namespace.to_owned(),
            labels: Vec::new(),
            fields: Vec::new(),
            limit: 0,
            page: None,
        })
    }

    /// Only those with this value of the label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.labels.push(Requirement { key: key.to_owned(), operator: Operator::In, values: vec![value.to_owned()] });
        self
    }

    /// What is needed of the bodies, as JSON pointers.
    #[must_use]
    pub fn fields(mut self, fields: &[&str]) -> Self {
        self.0.fields = fields.iter().map(ToString::to_string).collect();
        self
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let (reason, message) = match error {
            ReadError::Denied(m) => ("ReadDenied", m),
            ReadError::Invalid(m) => ("ReadInvalid", m),
            ReadError::Unavailable(m) => ("ReadUnavailable", m),
            ReadError::Limit(m) => ("ReadLimit", m),
        };
        Self { reason: reason.to_owned(), message }
    }
}
