// Clusters on disk for the tests, each in a temporary directory of its own.

import ClusterFiles
import Foundation

/// A cluster's directory, removed with its last reference.
final class TemporaryCluster {
    let parent: String
    let directory: String

    /// A new parent directory in which nothing is yet at `directory`.
    init() throws {
        parent = NSTemporaryDirectory() + "cluster-files-\(UUID().uuidString)"
        directory = parent + "/cluster"
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    }

    /// Writes a cluster as `edit` wants it; its stores are empty directories.
    convenience init(_ edit: (inout NewCluster) -> Void) throws {
        try self.init()
        var cluster = NewCluster()
        edit(&cluster)
        try cluster.write(to: directory, makeStore: makeEmptyDirectory)
    }

    deinit { try? FileManager.default.removeItem(atPath: parent) }

    var clusterFile: String { directory + "/cluster.toml" }
    var accessFile: String { directory + "/access.toml" }
    var addressesFile: String { directory + "/addresses.toml" }
    var keysFile: String { directory + "/keys.toml" }
    func server(_ index: Int) -> String { "\(directory)/servers/\(index)" }
    func client(_ name: String) -> String { "\(directory)/clients/\(name)" }

    /// Rewrites the file at `path`.
    func edit(_ path: String, _ change: (String) -> String) throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try change(text).write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Puts another cluster's file in the place of this one's.
    func replace(_ path: String, with other: String) throws {
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.copyItem(atPath: other, toPath: path)
    }
}

func makeEmptyDirectory(_ store: NewStore) throws {
    try FileManager.default.createDirectory(atPath: store.directory, withIntermediateDirectories: false)
}

/// The permission bits of what lies at `path`.
func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? -1
}

/// The error that `body` throws, or nil.
func configurationError(_ body: () throws -> Void) -> ConfigurationError? {
    do {
        try body()
        return nil
    } catch {
        return error as? ConfigurationError
    }
}
