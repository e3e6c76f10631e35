//! `kubectl explain` reads well: every field has a sentence. And `kubectl get` shows data: every column leads to a field.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crds::generate::files;
use serde_json::Value;

/// The generated definitions.
fn definitions() -> Vec<Value> {
    let files = files().unwrap();
    files
        .iter()
        .filter(|file| file.path.starts_with("crds/generated/"))
        .map(|file| serde_saphyr::from_str(&file.content).unwrap())
        .collect()
}

fn version(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]
}

/// All fields below a schema, with their paths.
fn fields<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.push((path.clone(), field));
        fields(&path, field, found);
        fields(&format!("{path}[]"), &field["items"], found);
    }
}

/// Starts like a sentence and ends like one, or with an address to read on.
fn is_sentence(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_uppercase() || c == '`');
    let ends = text.ends_with(['.', ')', '`']) || text.rsplit(' ').next().is_some_and(|word| word.contains("://"));
    text.contains(' ') && begins && ends
}

#[test]
fn every_field_has_a_sentence() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for definition in definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let mut found = Vec::new();
        for part in ["spec", "status"] {
            let schema = &version(&definition)["schema"]["openAPIV3Schema"]["properties"][part];
            found.push((format!("{kind}.{part}"), schema));
            fields(&format!("{kind}.{part}"), schema, &mut found);
        }
        count += found.len();
        let bad = found.into_iter().filter(|(_, field)| !is_sentence(field["description"].as_str().unwrap_or_default().trim()));
        wrong.extend(bad.map(|(path, field)| format!("{path}: {}", field["description"])));
    }
    assert!(count > 400, "the definitions were not read: {count} fields");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_column_leads_to_a_field() {
    let mut count = 0;
    for definition in definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &version(&definition)["schema"]["openAPIV3Schema"];
        for column in version(&definition)["additionalPrinterColumns"].as_array().unwrap() {
            let path = column["jsonPath"].as_str().unwrap();
            let known = match path.strip_prefix(".status.conditions[?(@.type==\"") {
                Some(rest) => rest.ends_with("].status") || rest.ends_with("].message"),
                None => {
                    path.starts_with(".metadata.") || !schema.pointer(&path.replace('.', "/properties/")).unwrap_or(&Value::Null).is_null()
                }
            };
            assert!(known, "{kind}: column {} leads nowhere: {path}", column["name"]);
            count += 1;
        }
    }
    assert!(count > 25, "the columns were not read: {count}");
}

#[test]
fn every_kind_tells_which_generation_was_seen() {
    for definition in definitions() {
        let status = &version(&definition)["schema"]["openAPIV3Schema"]["properties"]["status"];
        let kind = &definition["spec"]["names"]["kind"];
        assert!(status["properties"]["observedGeneration"].is_object(), "{kind} has no status.observedGeneration");
        let condition = &status["properties"]["conditions"]["items"]["properties"];
        assert!(condition["observedGeneration"].is_object(), "{kind}: a condition has no observedGeneration");
    }
}
