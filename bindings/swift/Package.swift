// swift-tools-version: 5.9
import PackageDescription

// `cargo xtask bindings swift` puts this and the generated code together in target/bindings/swift/package. On Apple's
// systems the library comes as MadangFFI.xcframework, on Linux it is one of the system.
#if os(Linux)
let ffi: Target = .systemLibrary(name: "MadangFFI", path: "Sources/MadangFFI")
#else
let ffi: Target = .binaryTarget(name: "MadangFFI", path: "MadangFFI.xcframework")
#endif

let package = Package(
    name: "Madang",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "Madang", targets: ["Madang"])],
    targets: [
        ffi,
        .target(name: "Madang", dependencies: ["MadangFFI"], path: "Sources/Madang"),
        .executableTarget(name: "Rooms", dependencies: ["Madang"], path: "example"),
    ]
)
