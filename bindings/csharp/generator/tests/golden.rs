//! What is generated for shapes of all kinds is what the golden file says, which `cargo xtask test bindings` compiles. A change
//! that is meant: `GOLDEN=write cargo test -p madang-csharp-generator`.

use std::{fs, path::Path};

use madang_csharp_generator::{Settings, code};
use uniffi_bindgen::ComponentInterface;

#[test]
fn all_shapes_are_generated_as_the_golden_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let shapes = fs::read_to_string(folder.join("shapes.udl")).unwrap();
    let interface = ComponentInterface::from_webidl(&shapes, "shapes").unwrap();
    let settings = Settings { namespace: "Shapes".into(), library: "shapes".into() };
    let generated = code(interface, &settings).unwrap();
    let golden = folder.join("shapes.cs");
    if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        fs::write(&golden, &generated).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap();
    let differs = generated.lines().zip(expected.lines()).enumerate().find(|(_, (one, other))| one != other);
    assert!(generated == expected, "another than the golden file: {differs:?}");
}
