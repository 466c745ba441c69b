//! Which values of one type are values of another, and what links make of types.

use crate::document::{Link, LinkMerge, PickValue};
use crate::job::allows_null;
use crate::schema::{ArrayType, Type};

/// Whether values of one type are values of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// None is.
    Never,
    /// It depends on the value.
    Sometimes,
    /// All are.
    Always,
}

/// Whether values of `source` fit where `sink` is wanted. `Any` is taken at its word on both sides.
pub fn fits(source: &Type, sink: &Type) -> Fit {
    match (source, sink) {
        (Type::Any, _) | (_, Type::Any) | (Type::Enum(_), Type::String) => Fit::Always,
        (Type::Union(members), sink) => {
            let fit = |member: &Type| fits(member, sink);
            if members.iter().all(|member| fit(member) == Fit::Always) {
                return Fit::Always;
            }
            // That both may be null is no common ground if nothing else is.
            let solid = members.iter().filter(|member| **member != Type::Null);
            if solid.map(fit).any(|fit| fit > Fit::Never) { Fit::Sometimes } else { Fit::Never }
        }
        (source, Type::Union(members)) => members.iter().map(|member| fits(source, member)).max().unwrap_or(Fit::Never),
        // An empty array fits everywhere, but nobody means that.
        (Type::Array(source), Type::Array(sink)) => fits(&source.items, &sink.items),
        (Type::Record(source), Type::Record(sink)) => {
            let fields =
                sink.fields.iter().map(|wanted| match source.fields.iter().find(|field| field.name == wanted.name) {
                    Some(field) => fits(&field.type_, &wanted.type_),
                    None if allows_null(&wanted.type_) => Fit::Always,
                    None => Fit::Never,
                });
            fields.min().unwrap_or(Fit::Always)
        }
        (Type::Enum(source), Type::Enum(sink)) => {
            let known = source.symbols.iter().filter(|symbol| sink.symbols.contains(symbol)).count();
            match known {
                0 => Fit::Never,
                known if known == source.symbols.len() => Fit::Always,
                _ => Fit::Sometimes,
            }
        }
        (Type::String, Type::Enum(_)) => Fit::Sometimes,
        (source, sink) => match (width(source), width(sink)) {
            (Some(source), Some(sink)) if source <= sink => Fit::Always,
            (Some(_), Some(_)) => Fit::Sometimes,
            _ if source == sink => Fit::Always,
            _ => Fit::Never,
        },
    }
}

/// Numbers by what they can hold.
fn width(type_: &Type) -> Option<u8> {
    match type_ {
        Type::Int => Some(1),
        Type::Long => Some(2),
        Type::Float => Some(3),
        Type::Double => Some(4),
        _ => None,
    }
}

/// `T[]`
pub(super) fn array(items: Type) -> Type {
    Type::Array(Box::new(ArrayType { items, input_binding: None }))
}

/// A union without repetition and nesting.
pub(super) fn union(members: impl IntoIterator<Item = Type>) -> Type {
    let mut flat: Vec<Type> = Vec::new();
    for member in members {
        let inner = if let Type::Union(inner) = member { inner } else { vec![member] };
        for member in inner {
            if !flat.contains(&member) {
                flat.push(member);
            }
        }
    }
    if flat.len() == 1 { flat.remove(0) } else { Type::Union(flat) }
}

/// A type without its null.
pub(super) fn without_null(type_: Type) -> Type {
    match type_ {
        Type::Union(members) => union(members.into_iter().filter(|member| *member != Type::Null)),
        other => other,
    }
}

/// Type of the elements, if all values of a type are arrays or null.
pub(super) fn items(type_: &Type) -> Option<Type> {
    match type_ {
        Type::Array(array) => Some(array.items.clone()),
        Type::Any => Some(Type::Any),
        Type::Union(members) => {
            let solid = members.iter().filter(|member| **member != Type::Null);
            // One array among other types may be what comes; the others would fail when they do.
            let found: Vec<Type> = solid.filter_map(items).collect();
            (!found.is_empty()).then(|| union(found))
        }
        _ => None,
    }
}

/// What `merge_flattened` puts into its list of one source: the elements of an array, anything else itself.
fn flattened(source: &Type) -> Type {
    match source {
        Type::Array(array) => array.items.clone(),
        Type::Union(members) => union(members.iter().map(flattened)),
        other => other.clone(),
    }
}

/// The type that a link yields from those of its sources (CWL v1.2 Workflow Description, "linkMerge", "pickValue").
pub(super) fn linked(link: &Link, sources: &[Type]) -> Type {
    let is_merged = link.is_list && (sources.len() > 1 || link.link_merge.is_some());
    let merged = match (is_merged, link.link_merge) {
        (false, _) => sources.first().cloned().unwrap_or(Type::Null),
        (true, Some(LinkMerge::Flattened)) => array(union(sources.iter().map(flattened))),
        (true, _) => array(union(sources.iter().cloned())),
    };
    match (link.pick_value, items(&merged)) {
        (None, _) => merged,
        (Some(PickValue::AllNonNull), Some(items)) => array(without_null(items)),
        (Some(_), Some(items)) => without_null(items),
        // Not a list: what pickValue does with it is reported at run time.
        (Some(_), None) => Type::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_merge_and_pick_types() {
        let optional = |type_: Type| Type::Union(vec![Type::Null, type_]);
        let link = |link_merge, pick_value| Link { sources: Vec::new(), is_list: true, link_merge, pick_value };
        let either = Type::Union(vec![Type::String, array(Type::File)]);
        let shown = |link: &Link, sources: &[Type]| linked(link, sources).to_string();
        assert_eq!(shown(&link(None, None), &[Type::File]), "File", "a list of one is a plain source");
        assert_eq!(shown(&link(Some(LinkMerge::Nested), None), &[Type::File]), "File[]");
        assert_eq!(shown(&link(None, None), &[Type::File, Type::File]), "File[]");
        assert_eq!(shown(&link(Some(LinkMerge::Flattened), None), &[array(Type::File), Type::File]), "File[]");
        assert_eq!(shown(&link(Some(LinkMerge::Flattened), None), &[either]), "(string | File)[]");
        let all = link(None, Some(PickValue::AllNonNull));
        assert_eq!(shown(&all, &[optional(Type::File), Type::File]), "File[]");
        let first = link(None, Some(PickValue::FirstNonNull));
        assert_eq!(shown(&first, &[optional(Type::File), Type::String]), "File | string");
        assert_eq!(shown(&first, &[array(optional(Type::Int))]), "int");
    }

    #[test]
    fn types_fit_as_their_values_do() {
        let optional = |type_: Type| Type::Union(vec![Type::Null, type_]);
        assert_eq!(fits(&Type::Int, &Type::Double), Fit::Always);
        assert_eq!(fits(&Type::Double, &Type::Int), Fit::Sometimes);
        assert_eq!(fits(&Type::File, &Type::Directory), Fit::Never);
        assert_eq!(fits(&optional(Type::File), &Type::File), Fit::Sometimes);
        assert_eq!(fits(&optional(Type::File), &optional(Type::String)), Fit::Never);
        assert_eq!(fits(&array(Type::Int), &array(Type::Long)), Fit::Always);
        assert_eq!(fits(&Type::Any, &Type::File), Fit::Always);
    }
}
