//! How fields that take more than one type look in the API's document.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, SchemaType, Type},
    },
};

/// A phone number: a text, or a whole number, which stands for its digits.
pub struct PhoneNumber;

impl ToSchema for PhoneNumber {}

impl PartialSchema for PhoneNumber {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
            .pattern(Some(r"^\+?[1-9][0-9]{1,14}$"))
            .minimum(Some(10))
            .maximum(Some(999_999_999_999_999_i64))
            .into()
    }
}

pub fn text() -> Schema {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
        .min_length(Some(1))
        .max_length(Some(1600))
        .pattern(Some(r"^[^\x00]*[^\s\x00-\x20][^\x00]*$"))
        .minimum(Some(i64::MIN))
        .maximum(Some(i64::MAX))
        .into()
}

/// The client's own name for a message, or null.
pub fn client_reference() -> Schema {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$"))
        .into()
}
