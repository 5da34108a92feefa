// swift-tools-version: 6.2
import PackageDescription

let strictSwift: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [
    .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]

let package = Package(
    name: "solidus",
    targets: [
        // System libraries.
        .systemLibrary(name: "CISAL", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CRocksDB", providers: [.apt(["librocksdb-dev"])]),

        // The coding rooms.
        .target(name: "ErasureCode", dependencies: ["CISAL"], swiftSettings: strictSwift),

        // The server's shell.
        .target(name: "CPosixStorage", cSettings: strictC),
        .target(
            name: "QuorumServer", dependencies: ["ErasureCode", "CISAL", "CRocksDB", "CPosixStorage"],
            swiftSettings: strictSwift),
        .testTarget(
            name: "QuorumServerTests", dependencies: ["QuorumServer", "ErasureCode"], swiftSettings: strictSwift),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11
)
