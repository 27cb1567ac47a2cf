//! Requests made from the contract alone: a good one for each call, and the fields that can be made bad.

use madang_proto::{DESCRIPTORS, MethodPolicy};
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ReflectMessage as _, Value,
};
use uuid::Uuid;

/// The contract as its descriptors tell it.
#[derive(Debug, Clone)]
pub struct Contract {
    pool: DescriptorPool,
    limits: ExtensionDescriptor,
}

/// What a good request names.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_field_names, reason = "called as the fields that they fill")]
pub struct Things {
    pub room_id: String,
    pub user_id: String,
    pub device_id: String,
}

/// The limits of a field, read from its options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    pub required: bool,
    pub max_characters: usize,
    pub max_bytes: usize,
    pub max_items: usize,
    pub min: Option<i64>,
    pub max: Option<i64>,
    /// Name of the format, without its prefix.
    pub format: String,
}

impl Contract {
    pub fn read() -> Self {
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("the contract's descriptors");
        let limits = pool.get_extension_by_name("madang.v1.limits").expect("the option of fields");
        Self { pool, limits }
    }

    pub fn message(&self, name: &str) -> MessageDescriptor {
        self.pool.get_message_by_name(&format!("madang.v1.{name}")).expect("a message")
    }

    pub fn method(&self, policy: &MethodPolicy) -> MethodDescriptor {
        let service = self.pool.get_service_by_name(&format!("madang.v1.{}", policy.service)).expect("a service");
        service.methods().find(|method| method.name() == policy.method).expect("a method")
    }

    /// What the contract says of a field.
    pub fn limits(&self, field: &FieldDescriptor) -> Limits {
        let options = field.options();
        if !options.has_extension(&self.limits) {
            return Limits::default();
        }
        let option = options.get_extension(&self.limits);
        let option = option.as_message().expect("limits are a message");
        let number = |name: &str| match option.get_field_by_name(name).as_deref() {
            Some(Value::U32(number)) => *number as usize,
            _ => 0,
        };
        let bound =
            |name: &str| option.has_field_by_name(name).then(|| option.get_field_by_name(name)?.as_i64()).flatten();
        let format = option.get_field_by_name("format").and_then(|value| value.as_enum_number()).unwrap_or_default();
        let formats = self.pool.get_enum_by_name("madang.v1.TextFormat").expect("formats");
        let format = formats.get_value(format).map(|value| value.name().trim_start_matches("TEXT_FORMAT_").to_owned());
        Limits {
            required: option.get_field_by_name("required").and_then(|value| value.as_bool()).unwrap_or_default(),
            max_characters: number("max_characters"),
            max_bytes: number("max_bytes"),
            max_items: number("max_items"),
            min: bound("min"),
            max: bound("max"),
            format: format.unwrap_or_default(),
        }
    }

    /// A request that holds to all limits, with nothing in it that need not be.
    pub fn good(&self, method: &MethodDescriptor, things: &Things) -> DynamicMessage {
        self.fill(&method.input(), things)
    }

    fn fill(&self, message: &MessageDescriptor, things: &Things) -> DynamicMessage {
        let mut filled = DynamicMessage::new(message.clone());
        for field in message.fields() {
            if let Some(value) = self.value(&field, things) {
                filled.set_field(&field, value);
            }
        }
        filled
    }

    /// A good value of a field that must have one.
    fn value(&self, field: &FieldDescriptor, things: &Things) -> Option<Value> {
        let limits = self.limits(field);
        let one = match (field.kind(), field.full_name()) {
            // Two that a call cannot do without although the field may be empty in other places.
            (Kind::Message(body), _) if body.name() == "Hello" => Value::Message(self.fill(&body, things)),
            (Kind::String, "madang.v1.MessageBody.text") => Value::String("hello".to_owned()),
            (Kind::String, "madang.v1.CreateRoomRequest.room_id") => Value::String(Uuid::now_v7().to_string()),
            (Kind::Int64, _) if limits.min.is_some_and(|min| min > 0) && field.containing_oneof().is_none() => {
                Value::I64(limits.min.unwrap_or_default())
            }
            _ if !limits.required => return None,
            (Kind::String, _) => Value::String(text(field.name(), &limits, things)),
            (Kind::Message(inner), _) => Value::Message(self.fill(&inner, things)),
            (Kind::Enum(values), _) => Value::EnumNumber(values.values().nth(1).map_or(0, |value| value.number())),
            (other, name) => panic!("{name}: how is a {other:?} filled?"),
        };
        Some(if field.is_list() { Value::List(vec![one]) } else { one })
    }
}

fn text(name: &str, limits: &Limits, things: &Things) -> String {
    match name {
        "room_id" => things.room_id.clone(),
        "user_id" | "user_ids" => things.user_id.clone(),
        "device_id" => things.device_id.clone(),
        _ if limits.format.starts_with("UUID") => Uuid::now_v7().to_string(),
        _ => "abc".to_owned(),
    }
}

/// Where a field lies in a request: the fields that lead to it, from the request on.
#[derive(Debug, Clone)]
pub struct Place(pub Vec<FieldDescriptor>);

/// Messages in messages that are looked into.
const DEEPEST: usize = 5;

impl Place {
    /// Every field of a message and of the messages in it.
    pub fn all(message: &MessageDescriptor) -> Vec<Self> {
        let mut places = Vec::new();
        collect(message, &mut Vec::new(), &mut places);
        places
    }

    pub fn field(&self) -> &FieldDescriptor {
        self.0.last().expect("a place has a field")
    }

    /// As refusals name it, but for the numbers of items.
    pub fn name(&self) -> String {
        self.0.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")
    }

    /// The request with another value here; messages on the way are made.
    pub fn put(&self, request: &DynamicMessage, contract: &Contract, things: &Things, value: Value) -> DynamicMessage {
        let mut changed = request.clone();
        put(&mut changed, &self.0, contract, things, value);
        changed
    }

    /// The request with nothing here.
    pub fn clear(&self, request: &DynamicMessage) -> DynamicMessage {
        let mut changed = request.clone();
        clear(&mut changed, &self.0);
        changed
    }
}

fn collect(message: &MessageDescriptor, on_the_way: &mut Vec<FieldDescriptor>, places: &mut Vec<Place>) {
    for field in message.fields() {
        on_the_way.push(field.clone());
        places.push(Place(on_the_way.clone()));
        if let Kind::Message(inner) = field.kind()
            && !field.is_map()
            && on_the_way.len() < DEEPEST
        {
            collect(&inner, on_the_way, places);
        }
        on_the_way.pop();
    }
}

fn put(message: &mut DynamicMessage, way: &[FieldDescriptor], contract: &Contract, things: &Things, value: Value) {
    let (field, rest) = way.split_first().expect("a place has a field");
    if rest.is_empty() {
        return message.set_field(field, value);
    }
    let Kind::Message(inner) = field.kind() else { panic!("{} holds no fields", field.full_name()) };
    let mut next = match message.get_field(field).as_ref() {
        Value::Message(next) if message.has_field(field) => next.clone(),
        Value::List(items) if !items.is_empty() => items[0].as_message().expect("an item").clone(),
        _ => contract.fill(&inner, things),
    };
    put(&mut next, rest, contract, things, value);
    let next = Value::Message(next);
    message.set_field(field, if field.is_list() { Value::List(vec![next]) } else { next });
}

fn clear(message: &mut DynamicMessage, way: &[FieldDescriptor]) {
    let (field, rest) = way.split_first().expect("a place has a field");
    if rest.is_empty() {
        return message.clear_field(field);
    }
    if let Value::Message(next) = message.get_field_mut(field) {
        clear(next, rest);
    }
}

/// Bytes of a request.
pub fn encoded(request: &DynamicMessage) -> Vec<u8> {
    debug_assert!(!request.descriptor().name().is_empty());
    prost::Message::encode_to_vec(request)
}
