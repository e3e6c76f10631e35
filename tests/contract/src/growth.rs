//! How the contract may grow: functions and cases are added, a record gets optional fields at its end, nothing else changes or goes away.
//! It knows nothing of what the contract means.

use std::collections::BTreeMap;

use wit_parser::{Function, Resolve, Type, TypeDefKind, WorldItem, WorldKey};

/// What a name of a package stands for.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    /// Must stay as it is.
    Fixed(String),
    /// May get more at its end.
    Cases(Vec<String>),
    /// May get more at its end that can be left out.
    Record(Vec<String>),
}

/// The first package of a WIT text: its version, and what its names stand for.
pub struct Package {
    /// As published; empty where it has none.
    pub version: String,
    names: BTreeMap<String, Shape>,
}

impl Package {
    /// Parses a WIT text.
    ///
    /// # Errors
    /// Where and why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut resolve = Resolve::default();
        let id = resolve.push_str("reconciler.wit", text).map_err(|e| format!("{e:#}"))?;
        let package = &resolve.packages[id];
        let mut names = BTreeMap::new();
        for (interface, id) in &package.interfaces {
            for (name, ty) in &resolve.interfaces[*id].types {
                names.insert(format!("{interface}.{name}"), shape(&resolve, &resolve.types[*ty].kind));
            }
            for (name, function) in &resolve.interfaces[*id].functions {
                names.insert(format!("{interface}.{name}"), Shape::Fixed(signature(&resolve, function)));
            }
        }
        for (world, id) in &package.worlds {
            let world_of = &resolve.worlds[*id];
            for (direction, items) in [("import", &world_of.imports), ("export", &world_of.exports)] {
                for (key, item) in items {
                    let name = match key {
                        WorldKey::Name(name) => name.clone(),
                        WorldKey::Interface(id) => resolve.interfaces[*id].name.clone().unwrap_or_default(),
                    };
                    let what = match item {
                        WorldItem::Function(function) => signature(&resolve, function),
                        WorldItem::Interface { .. } => "interface".into(),
                        WorldItem::Type { .. } => "type".into(),
                    };
                    names.insert(format!("world {world}: {direction} {name}"), Shape::Fixed(what));
                }
            }
        }
        let version = package.name.version.as_ref().map(ToString::to_string).unwrap_or_default();
        Ok(Self { version, names })
    }

    /// What of `published` is not as it was here, each as a sentence.
    pub fn breaks(&self, published: &Self) -> Vec<String> {
        let broken = |(name, was): (&String, &Shape)| match (was, self.names.get(name)) {
            (_, None) => Some(format!("{name} is gone")),
            (Shape::Cases(was), Some(Shape::Cases(is))) if is.starts_with(was) => None,
            (Shape::Record(was), Some(Shape::Record(is)))
                if is.strip_prefix(was.as_slice()).is_some_and(|more| more.iter().all(|field| field.contains(": option<"))) =>
            {
                None
            }
            (was, Some(is)) if was == is => None,
            (was, Some(is)) => Some(format!("{name} was {was} and is {is}")),
        };
        published.names.iter().filter_map(broken).collect()
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(text) => f.write_str(text),
            Self::Cases(cases) => write!(f, "[{}]", cases.join(", ")),
            Self::Record(fields) => write!(f, "record {{{}}}", fields.join(", ")),
        }
    }
}

fn shape(resolve: &Resolve, kind: &TypeDefKind) -> Shape {
    match kind {
        TypeDefKind::Variant(v) => {
            let case = |c: &wit_parser::Case| c.ty.map_or_else(|| c.name.clone(), |ty| format!("{}({})", c.name, named(resolve, &ty)));
            Shape::Cases(v.cases.iter().map(case).collect())
        }
        TypeDefKind::Enum(e) => Shape::Cases(e.cases.iter().map(|c| c.name.clone()).collect()),
        TypeDefKind::Record(r) => Shape::Record(r.fields.iter().map(|f| format!("{}: {}", f.name, named(resolve, &f.ty))).collect()),
        other => Shape::Fixed(structure(resolve, other)),
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter().map(|p| format!("{}: {}", p.name, named(resolve, &p.ty))).collect::<Vec<_>>().join(", ");
    format!("func({params}) -> {}", optional(resolve, function.result.as_ref()))
}

/// A type as it is referred to: by its name where it has one.
fn named(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}").to_lowercase() };
    let definition = &resolve.types[*id];
    definition.name.clone().unwrap_or_else(|| structure(resolve, &definition.kind))
}

fn optional(resolve: &Resolve, ty: Option<&Type>) -> String {
    ty.map_or_else(|| "_".into(), |ty| named(resolve, ty))
}

fn structure(resolve: &Resolve, kind: &TypeDefKind) -> String {
    match kind {
        TypeDefKind::Tuple(t) => format!("tuple<{}>", t.types.iter().map(|ty| named(resolve, ty)).collect::<Vec<_>>().join(", ")),
        TypeDefKind::Option(ty) => format!("option<{}>", named(resolve, ty)),
        TypeDefKind::List(ty) => format!("list<{}>", named(resolve, ty)),
        TypeDefKind::Result(r) => format!("result<{}, {}>", optional(resolve, r.ok.as_ref()), optional(resolve, r.err.as_ref())),
        TypeDefKind::Type(ty) => named(resolve, ty),
        // The contract has none of the others; should it get one, its debug form is as good for a comparison.
        other => format!("{other:?}"),
    }
}
