//! The shapes of schemas, as generators of clients understand them best.
//!
//! As they are collected, a variant of a tagged enum stands unnamed in it, and one that wraps a struct is an `allOf` of it and its
//! tag: generators make poor types of the first, and none of the second. Here each becomes an object of its own with a name, such
//! as `AuthenticationApiKey`, and the enum tells them apart by its discriminator. An object of any fields says that it takes any:
//! without that some generators take it for an empty one.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Discriminator, Object, SchemaType, Type};
use utoipa::openapi::{Components, OpenApi, Ref, RefOr, Schema};

/// A variant as an object, with its tag.
struct Variant {
    object: Object,
    tag: String,
    value: String,
}

/// Names the variants of every tagged enum.
pub(super) fn name_variants(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for name in names {
        let Some(RefOr::T(Schema::OneOf(union))) = components.schemas.get(&name) else {
            continue;
        };
        let variants: Option<Vec<Variant>> = union
            .items
            .iter()
            .map(|item| variant(item, &components.schemas))
            .collect();
        let Some(variants) = variants.filter(|variants| has_one_tag(variants)) else {
            continue;
        };
        let mut union = union.clone();
        let mut mapping = BTreeMap::new();
        union.items.clear();
        let tag = variants
            .first()
            .map(|variant| variant.tag.clone())
            .unwrap_or_default();
        for variant in variants {
            let mut own = format!("{name}{}", pascal_case(&variant.value));
            if components.schemas.contains_key(&own) {
                own.push_str("Variant");
            }
            let reference = Ref::from_schema_name(&own);
            mapping.insert(variant.value, reference.ref_location.clone());
            union.items.push(reference.into());
            components.schemas.insert(own, RefOr::T(variant.object.into()));
        }
        union.discriminator = Some(Discriminator {
            mapping,
            ..Discriminator::new(tag)
        });
        components.schemas.insert(name, RefOr::T(Schema::OneOf(union)));
    }
}

/// Says of objects without known fields that they take any.
pub(super) fn open_objects(components: &mut Components) {
    for schema in components.schemas.values_mut() {
        open(schema);
    }
}

fn open(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            let is_object = match &object.schema_type {
                SchemaType::Type(one) => *one == Type::Object,
                SchemaType::Array(several) => several.contains(&Type::Object),
                SchemaType::AnyValue => false,
            };
            if is_object && object.properties.is_empty() && object.additional_properties.is_none() {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
            }
            object.properties.values_mut().for_each(open);
            if let Some(AdditionalProperties::RefOr(schema)) = object.additional_properties.as_deref_mut() {
                open(schema);
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                open(items);
            }
        }
        Schema::OneOf(parts) => parts.items.iter_mut().for_each(open),
        Schema::AllOf(parts) => parts.items.iter_mut().for_each(open),
        Schema::AnyOf(parts) => parts.items.iter_mut().for_each(open),
        _ => {}
    }
}

/// Drops the schemas that nothing refers to: what variants were made of.
pub(super) fn drop_unused(document: &mut OpenApi) {
    loop {
        let text = serde_json::to_string(document).unwrap_or_default();
        let Some(components) = &mut document.components else {
            return;
        };
        let before = components.schemas.len();
        components
            .schemas
            .retain(|name, _| text.contains(&format!("\"{}\"", Ref::from_schema_name(name).ref_location)));
        if components.schemas.len() == before {
            return;
        }
    }
}

fn has_one_tag(variants: &[Variant]) -> bool {
    let Some((first, rest)) = variants.split_first() else {
        return false;
    };
    rest.iter().all(|variant| variant.tag == first.tag)
}

fn variant(item: &RefOr<Schema>, schemas: &BTreeMap<String, RefOr<Schema>>) -> Option<Variant> {
    let object = match item {
        RefOr::T(Schema::Object(object)) => object.clone(),
        RefOr::T(Schema::AllOf(parts)) => {
            let mut whole = Object::new();
            for part in &parts.items {
                merge(&mut whole, object_of(part, schemas)?);
            }
            whole.description.clone_from(&parts.description);
            whole
        }
        _ => return None,
    };
    let (tag, value) = object
        .properties
        .iter()
        .find_map(|(name, property)| match property {
            RefOr::T(Schema::Object(property)) => match property.enum_values.as_deref() {
                Some([value]) => Some((name.clone(), value.as_str()?.to_owned())),
                _ => None,
            },
            _ => None,
        })?;
    Some(Variant { object, tag, value })
}

fn object_of<'a>(
    part: &'a RefOr<Schema>,
    schemas: &'a BTreeMap<String, RefOr<Schema>>,
) -> Option<&'a Object> {
    match part {
        RefOr::T(Schema::Object(object)) => Some(object),
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            object_of(schemas.get(name)?, schemas)
        }
        RefOr::T(_) => None,
    }
}

fn merge(whole: &mut Object, part: &Object) {
    whole.schema_type = part.schema_type.clone();
    whole.properties.extend(part.properties.clone());
    for name in &part.required {
        if !whole.required.contains(name) {
            whole.required.push(name.clone());
        }
    }
}

fn pascal_case(text: &str) -> String {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.split_at_checked(1))
        .map(|(first, rest)| format!("{}{rest}", first.to_ascii_uppercase()))
        .collect()
}
