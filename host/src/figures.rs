//! Metrics of reconciled objects: what the settings name is read out of the objects in the cache, at each scrape.
//!
//! It knows JSON pointers and the text format, and nothing of what a figure means. A label's value comes from an object, so the number of series is
//! bounded by the number of objects, and a series ends with its object. A counter must stand in the object: then it does not fall when this
//! process begins anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{cluster::Stored, settings::Resource};

/// A metric that is made of the objects of a kind.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Figure {
    /// The metric's name. A counter's should end with `_total`: the format gives no other name the type of a counter.
    pub name: String,
    /// What it says, for people.
    pub help: String,
    /// Whether it may fall.
    #[serde(rename = "type")]
    pub kind: FigureKind,
    /// JSON pointer to a list in the object: each element is a sample. Absent: the object itself is the only one.
    #[serde(default)]
    pub each: String,
    /// JSON pointer from there to a number, a truth value (1 or 0) or a time (seconds since 1970). Absent: 1. Where nothing is, there is no
    /// sample.
    #[serde(default)]
    pub value: Option<String>,
    /// What a value is multiplied with, for instance 0.001 for milliseconds.
    #[serde(default = "one")]
    pub scale: f64,
    /// Names of labels, with JSON pointers from the object.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Names of labels, with JSON pointers from the element.
    #[serde(default)]
    pub element_labels: BTreeMap<String, String>,
}

fn one() -> f64 {
    1.0
}

/// Whether a figure may fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FigureKind {
    /// It may.
    Gauge,
    /// It only rises.
    Counter,
}

/// Where objects come from: those of a kind in the cache.
pub type Objects = Arc<dyn Fn(&Resource) -> Vec<Arc<Stored>> + Send + Sync>;

/// The figures of all kinds.
#[derive(Clone)]
pub struct Figures {
    figures: Vec<(Resource, Figure)>,
    objects: Objects,
}

impl Figures {
    /// These figures of these kinds, and the conditions of all objects under the product's name.
    pub fn new(product: &str, kinds: impl IntoIterator<Item = (Resource, Vec<Figure>)>, objects: Objects) -> Self {
        let mut figures = Vec::new();
        for (kind, of_kind) in kinds {
            figures.push((kind.clone(), condition(product)));
            figures.extend(of_kind.into_iter().map(|figure| (kind.clone(), figure)));
        }
        Self { figures, objects }
    }

    /// All samples as text, without an end.
    pub fn encode(&self) -> String {
        // All samples of a name stand together, from whichever kinds they come.
        let mut families: BTreeMap<&str, (&Figure, BTreeMap<String, f64>)> = BTreeMap::new();
        for (kind, figure) in &self.figures {
            let (_, samples) = families.entry(&figure.name).or_insert_with(|| (figure, BTreeMap::new()));
            for object in (self.objects)(kind) {
                for (labels, value) in figure.samples(kind, &object.body) {
                    // Two samples of the same labels would spoil the whole page.
                    samples.entry(labels).or_insert(value);
                }
            }
        }
        let mut text = String::new();
        for (name, (figure, samples)) in families.into_iter().filter(|(_, (_, samples))| !samples.is_empty()) {
            let (family, kind) = match (figure.kind, name.strip_suffix("_total")) {
                (FigureKind::Counter, Some(family)) => (family, "counter"),
                (FigureKind::Counter, None) => (name, "unknown"),
                (FigureKind::Gauge, _) => (name, "gauge"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {family} {}\n# TYPE {family} {kind}", escaped(&figure.help));
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        }
        text
    }
}

fn condition(product: &str) -> Figure {
    let of = |labels: &[(&str, &str)]| labels.iter().map(|(label, pointer)| ((*label).to_owned(), (*pointer).to_owned())).collect();
    Figure {
        name: format!("{}_object_condition", product.replace('-', "_")),
        help: "1 for each condition of a reconciled object, as it stands".to_owned(),
        kind: FigureKind::Gauge,
        each: "/status/conditions".to_owned(),
        value: None,
        scale: 1.0,
        labels: of(&[("kind", "/kind"), ("object_namespace", "/metadata/namespace"), ("object", "/metadata/name")]),
        element_labels: of(&[("type", "/type"), ("status", "/status"), ("reason", "/reason")]),
    }
}

impl Figure {
    /// What is wrong with it, naming the field.
    pub fn mistake(&self) -> Option<String> {
        let is_name = |name: &str, also: &str| {
            let mut letters = name.chars();
            letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || also.contains(c))
                && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
        };
        if !is_name(&self.name, ":") {
            return Some(format!("name: {:?} is no name of a metric", self.name));
        }
        let labels = self.labels.keys().chain(self.element_labels.keys());
        if let Some(label) = labels.clone().find(|label| !is_name(label, "") || label.starts_with("__")) {
            return Some(format!("labels of {}: {label:?} is no name of a label", self.name));
        }
        if labels.collect::<BTreeSet<_>>().len() != self.labels.len() + self.element_labels.len() {
            return Some(format!("labels of {}: one is in labels and in elementLabels", self.name));
        }
        let pointers = self.labels.values().chain(self.element_labels.values()).chain(&self.value).chain([&self.each]);
        let wrong = pointers.into_iter().find(|pointer| !pointer.is_empty() && !pointer.starts_with('/'))?;
        Some(format!("pointers of {}: {wrong:?} does not begin with /", self.name))
    }

    fn samples(&self, kind: &Resource, object: &Value) -> Vec<(String, f64)> {
        let element = object.pointer(&self.each);
        let elements: &[Value] = match element {
            Some(Value::Array(list)) if !self.each.is_empty() => list,
            Some(element) if self.each.is_empty() => std::slice::from_ref(element),
            _ => &[],
        };
        elements.iter().filter_map(|element| Some((self.labels_of(kind, object, element), self.value_of(element)?))).collect()
    }

    fn value_of(&self, element: &Value) -> Option<f64> {
        let Some(pointer) = &self.value else { return Some(1.0) };
        let value = match element.pointer(pointer)? {
            Value::Number(number) => number.as_f64()?,
            Value::Bool(holds) => f64::from(u8::from(*holds)),
            Value::String(text) => text.parse::<f64>().ok().or_else(|| {
                let time: jiff::Timestamp = text.parse().ok()?;
                Some(time.as_duration().as_secs_f64())
            })?,
            _ => return None,
        };
        Some(value * self.scale)
    }

    fn labels_of(&self, kind: &Resource, object: &Value, element: &Value) -> String {
        let of_object = self.labels.iter().map(|(label, pointer)| (label, pointer, object));
        let of_element = self.element_labels.iter().map(|(label, pointer)| (label, pointer, element));
        let labels: Vec<String> = of_object
            .chain(of_element)
            .map(|(label, pointer, from)| {
                let value = match from.pointer(pointer) {
                    Some(Value::String(text)) => text.clone(),
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                    // A list of the API server says the kind once for all its items.
                    _ if pointer == "/kind" => kind.kind.clone(),
                    _ => String::new(),
                };
                format!("{label}=\"{}\"", escaped(&value))
            })
            .collect();
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::contract::Header;

    fn kind() -> Resource {
        Resource {
            api_version: "example.com/v1".into(),
            kind: "Store".into(),
            resource: "stores".into(),
            cluster_scoped: false,
            namespaces: Vec::new(),
        }
    }

    fn figure(json: Value) -> Figure {
        let mut whole = json!({"name": "store_figure", "help": "a figure", "type": "gauge"});
        whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn encode(figures: Vec<Figure>, bodies: &[Value]) -> String {
        let header: Header = serde_json::from_value(json!({
            "api_version": "example.com/v1", "kind": "Store", "namespace": "a", "name": "s", "uid": "u", "resource_version": "1",
            "generation": 1, "deleting": false, "labels": [],
        }))
        .unwrap();
        let objects: Vec<Arc<Stored>> = bodies.iter().map(|body| Arc::new(Stored { header: header.clone(), body: body.clone() })).collect();
        Figures::new("some-product", [(kind(), figures)], Arc::new(move |_| objects.clone())).encode()
    }

    #[test]
    fn an_object_gives_one_sample_and_a_list_one_for_each_element() {
        let figures = vec![
            figure(json!({"value": "/status/epoch", "labels": {"store": "/metadata/name", "ns": "/metadata/namespace"}})),
            figure(json!({
                "name": "store_lag_seconds", "each": "/status/lag", "value": "/millis", "scale": 0.001,
                "labels": {"store": "/metadata/name"}, "elementLabels": {"pod": "/pod"},
            })),
            figure(json!({"name": "changes_total", "type": "counter", "value": "/status/changes"})),
            figure(json!({"name": "switches", "type": "counter", "value": "/status/changes"})),
            figure(json!({"name": "since", "value": "/status/since"})),
            figure(json!({"name": "absent", "value": "/status/nothing"})),
        ];
        let body = json!({
            "metadata": {"name": "s\"1\"", "namespace": "a"},
            "status": {
                "epoch": 7, "changes": 3, "since": "1970-01-01T00:01:00Z",
                "lag": [{"pod": "s-1", "millis": 1500}, {"pod": "s-2"}, {"pod": "s-1", "millis": 9}],
                "conditions": [{"type": "Ready", "status": "False", "reason": "Waiting"}],
            },
        });
        insta::assert_snapshot!(encode(figures, &[body]), @r##"
        # HELP changes a figure
        # TYPE changes counter
        changes_total 3
        # HELP since a figure
        # TYPE since gauge
        since 60
        # HELP some_product_object_condition 1 for each condition of a reconciled object, as it stands
        # TYPE some_product_object_condition gauge
        some_product_object_condition{kind="Store",object="s\"1\"",object_namespace="a",reason="Waiting",status="False",type="Ready"} 1
        # HELP store_figure a figure
        # TYPE store_figure gauge
        store_figure{ns="a",store="s\"1\""} 7
        # HELP store_lag_seconds a figure
        # TYPE store_lag_seconds gauge
        store_lag_seconds{store="s\"1\"",pod="s-1"} 1.5
        # HELP switches a figure
        # TYPE switches unknown
        switches 3
        "##);
    }

    #[test]
    fn nothing_is_said_where_there_is_no_object() {
        assert_eq!(encode(vec![figure(json!({}))], &[]), "");
    }

    #[rstest]
    #[case(json!({"name": "a b"}), "name: \"a b\" is no name of a metric")]
    #[case(json!({"labels": {"1": "/a"}}), "labels of store_figure: \"1\" is no name of a label")]
    #[case(json!({"labels": {"a": "/a"}, "elementLabels": {"a": "/a"}}), "labels of store_figure: one is in labels and in elementLabels")]
    #[case(json!({"value": "status"}), "pointers of store_figure: \"status\" does not begin with /")]
    fn a_mistake_names_its_field(#[case] json: Value, #[case] mistake: &str) {
        assert_eq!(figure(json).mistake().as_deref(), Some(mistake));
    }
}
