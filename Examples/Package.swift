// swift-tools-version: 6.2
// Programs that use Solidus as any other package would. `make test` builds and runs the same sources as part of the main
// package (its targets example-...), where what they depend on is built already.
import PackageDescription

let solidus = Target.Dependency.product(name: "Solidus", package: "solidus")

let package = Package(
    name: "solidus-examples",
    dependencies: [.package(name: "solidus", path: "..")],
    targets: [
        .executableTarget(name: "hello", dependencies: [solidus]),
        .executableTarget(name: "stream", dependencies: [solidus]),
        .executableTarget(name: "backup", dependencies: [solidus]),
    ],
    swiftLanguageModes: [.v6]
)
