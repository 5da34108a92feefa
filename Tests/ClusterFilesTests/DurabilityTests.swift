// What was made is durable before it is called made, and whatever interrupts the making, the next attempt ends it.

import ClusterFiles
import Crypto
import DurableFiles
import Foundation
import QuorumProtocol
import Synchronization
import Testing

/// What would be lost if the power failed: files whose bytes, and directories whose names, changed since their last
/// sync.
private final class PowerFailure: Sendable {
    private struct State {
        var files: Set<String> = []
        var directories: Set<String> = []
        var synchronized: Set<String> = []
        /// Names that were given to what was not durable: after a failure they might be those of half a file.
        var early: [String] = []
    }

    private let state = Mutex(State())

    /// Runs what makes something, and returns what it would lose.
    static func after(_ body: () throws -> Void) rethrows -> PowerFailure {
        let failure = PowerFailure()
        try DurableFile.$observer.withValue({ failure.note($0) }, operation: body)
        return failure
    }

    var loses: [String] {
        state.withLock { $0.early + $0.files.sorted() + $0.directories.sorted().map { "the names in \($0)" } }
    }

    func isSynchronized(_ path: String) -> Bool { state.withLock { $0.synchronized.contains(path) } }

    private func note(_ step: FileStep) {
        state.withLock { state in
            switch step {
            case .wrote(let path):
                state.files.insert(path)
                state.directories.insert(Self.parent(path))
            case .synchronized(let path):
                state.files.remove(path)
                state.synchronized.insert(path)
            case .madeDirectory(let path):
                state.directories.insert(Self.parent(path))
            case .moved(let path, let target):
                func isWithin(_ other: String) -> Bool { other == path || other.hasPrefix(path + "/") }
                func moved(_ other: String) -> String { isWithin(other) ? target + other.dropFirst(path.count) : other }
                // With cluster.toml a directory is a cluster: then all else has to be there.
                let isLast = target.hasSuffix("/cluster.toml")
                if state.files.union(state.directories).contains(where: { isLast || isWithin($0) }) {
                    state.early.append(target)
                }
                state.files = Set(state.files.map(moved))
                state.directories = Set(state.directories.map(moved))
                state.synchronized = Set(state.synchronized.map(moved))
                state.directories.formUnion([Self.parent(path), Self.parent(target)])
            case .synchronizedDirectory(let path):
                state.directories.remove(path)
                state.synchronized.insert(path)
            }
        }
    }

    private static func parent(_ path: String) -> String { (path as NSString).deletingLastPathComponent }
}

@Suite("What is made is durable") struct DurabilityTests {
    @Test("all of a new cluster: each file, each directory, and their names", arguments: [false, true])
    func cluster(existedBefore: Bool) throws {
        let cluster = try TemporaryCluster()
        if existedBefore {
            try FileManager.default.createDirectory(
                atPath: cluster.directory, withIntermediateDirectories: false)
        }
        let place = existedBefore ? cluster.directory : cluster.parent + "/a/b"
        let failure = try PowerFailure.after {
            try NewCluster().write(to: place) { store in
                try makeEmptyDirectory(store)
                try Data([1]).write(to: URL(fileURLWithPath: store.directory + "/segment"))
            }
        }
        #expect(failure.loses.isEmpty)
        let names = try #require(FileManager.default.enumerator(atPath: place)).compactMap { $0 as? String }
        #expect(names.contains("servers/3/store/segment") && names.contains("operator/key.pem"))
        for name in names { #expect(failure.isSynchronized("\(place)/\(name)"), "\(name)") }
        #expect(failure.isSynchronized(place))
    }

    @Test("all of a backup, each file and directory, and their names", arguments: [false, true])
    func backup(existedBefore: Bool) throws {
        let cluster = try TemporaryCluster { _ in }
        let place = cluster.parent + "/a/b"
        if existedBefore {
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        }
        let failure = try PowerFailure.after { try BackupContents(of: cluster.directory).copy(to: place) }
        #expect(failure.loses.isEmpty, "\(failure.loses)")
        let names = try #require(FileManager.default.enumerator(atPath: place)).compactMap { $0 as? String }
        #expect(names.contains("servers/3/key.pem") && names.contains("operator/key.pem"))
        for name in names { #expect(failure.isSynchronized("\(place)/\(name)"), "\(name)") }
        #expect(failure.isSynchronized(place))
    }

    @Test("a client, a revocation, a quota, a list that was signed, and one that a server keeps")
    func changes() throws {
        let cluster = try TemporaryCluster { _ in }
        let operatorHome = try OperatorHome(clusterDirectory: cluster.directory)
        let added = try PowerFailure.after { _ = try operatorHome.add(NewClient(name: "second")) }
        for name in ["key.pem", "certificate.pem", "client.toml"] {
            #expect(added.isSynchronized("\(cluster.client("second"))/\(name)"), "\(name)")
        }
        #expect(added.isSynchronized(cluster.accessFile) && added.loses.isEmpty, "\(added.loses)")
        let limited = try PowerFailure.after { _ = try operatorHome.setQuotas("second") { $0.storedBytes = 1 } }
        #expect(limited.isSynchronized(cluster.accessFile) && limited.loses.isEmpty, "\(limited.loses)")
        let revoked = try PowerFailure.after { _ = try operatorHome.revoke("second") }
        #expect(revoked.isSynchronized(cluster.accessFile) && revoked.loses.isEmpty, "\(revoked.loses)")
        try cluster.edit(cluster.addressesFile) { $0.replacingOccurrences(of: "7403", with: "7409") }
        let signed = try PowerFailure.after { _ = try operatorHome.signEdited() }
        #expect(signed.isSynchronized(cluster.addressesFile) && signed.loses.isEmpty, "\(signed.loses)")

        let home = try ServerHome(path: cluster.server(0))
        for isNew in [false, true] {
            if isNew { try FileManager.default.removeItem(atPath: home.listDirectory) }
            let kept = try PowerFailure.after {
                _ = try ListKeeper(directory: home.listDirectory, cluster: home.cluster)
            }
            for name in ["addresses.toml", "keys.toml", "access.toml"] {
                #expect(kept.isSynchronized("\(home.listDirectory)/\(name)"), "\(name)")
            }
            #expect(kept.loses.isEmpty, "\(kept.loses)")
        }
    }
}

/// Copies of a directory, one for each step that was done in it: what a process that was killed there has left.
private final class KilledAttempts: Sendable {
    let directory: String
    private let original: String
    private let count = Mutex(0)
    private let failures = Mutex<[String]>([])
    private let isChosen: @Sendable (Int, FileStep) -> Bool

    /// - Parameter isChosen: which steps are tried, by their numbers: each takes a whole second attempt.
    init(of original: String, isChosen: @escaping @Sendable (Int, FileStep) -> Bool) throws {
        self.original = original
        self.isChosen = isChosen
        directory = original + ".killed"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func during(_ body: () throws -> Void) rethrows {
        try DurableFile.$observer.withValue({ self.note($0) }, operation: body)
    }

    /// The copies in their order.
    var states: [String] {
        get throws {
            #expect(failures.withLock { $0 } == [])
            return try FileManager.default.contentsOfDirectory(atPath: directory)
                .compactMap { Int($0) }.sorted().map { "\(directory)/\($0)" }
        }
    }

    private func note(_ step: FileStep) {
        let number = count.withLock { count in
            count += 1
            return count
        }
        guard isChosen(number, step) else { return }
        do {
            try FileManager.default.copyItem(atPath: original, toPath: "\(directory)/\(number)")
        } catch {
            failures.withLock { $0.append("\(error)") }
        }
    }
}

@Suite("An attempt that was killed") struct KilledAttemptTests {
    @Test("at a new cluster leaves none, and the next makes it, or it leaves a whole one", arguments: [false, true])
    func cluster(existedBefore: Bool) throws {
        let cluster = try TemporaryCluster()
        if existedBefore {
            try FileManager.default.createDirectory(
                atPath: cluster.directory, withIntermediateDirectories: false)
        }
        let killed = try KilledAttempts(of: cluster.parent) { number, step in
            if case .moved = step { true } else { number.isMultiple(of: 30) }
        }
        try killed.during { try NewCluster().write(to: cluster.directory, makeStore: makeEmptyDirectory) }
        var wholeCount = 0
        let states = try killed.states
        for state in states {
            let directory = state + "/cluster"
            let isWhole = FileManager.default.fileExists(atPath: directory + "/cluster.toml")
            let error = configurationError {
                try NewCluster().write(to: directory, makeStore: makeEmptyDirectory)
            }
            if isWhole {
                wholeCount += 1
                #expect(error == .directoryNotEmpty(path: directory))
            } else {
                #expect(error == nil, "\(state)")
            }
            for server in 0..<4 {
                #expect(try ServerHome(path: "\(directory)/servers/\(server)").node.rawValue == server)
            }
            #expect(try ClientHome(clusterDirectory: directory).name == "first")
            _ = try OperatorHome(clusterDirectory: directory)
            let left = try FileManager.default.contentsOfDirectory(atPath: state)
            #expect(left == ["cluster"], "\(state)")
        }
        #expect(wholeCount > 0 && states.count > wholeCount + 3)
    }

    @Test("at a new client leaves none, or one that the next completes, or a whole one")
    func client() throws {
        let cluster = try TemporaryCluster { _ in }
        let killed = try KilledAttempts(of: cluster.directory) { _, _ in true }
        let client = NewClient(name: "second")
        try killed.during { _ = try OperatorHome(clusterDirectory: cluster.directory).add(client) }
        var wholeCount = 0
        let states = try killed.states
        for state in states {
            let isWhole = FileManager.default.fileExists(atPath: state + "/clients/second")
            let error = configurationError { _ = try OperatorHome(clusterDirectory: state).add(client) }
            if isWhole {
                wholeCount += 1
                guard case .invalidClient? = error else {
                    Issue.record("\(state): \(String(describing: error))")
                    continue
                }
            } else {
                #expect(error == nil, "\(state)")
            }
            let home = try ClientHome(clusterDirectory: state, client: "second")
            #expect(home.cluster.clients.map(\.name) == ["first", "second"])
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: state + "/clients").sorted() == ["first", "second"])
        }
        #expect(wholeCount > 0 && states.count > wholeCount + 3)
    }

    @Test("at a backup leaves none, and the next makes it, or it leaves a whole one", arguments: [false, true])
    func backup(existedBefore: Bool) throws {
        let cluster = try TemporaryCluster { _ in }
        let parent = cluster.parent + "/kept"
        try FileManager.default.createDirectory(
            atPath: existedBefore ? parent + "/backup" : parent, withIntermediateDirectories: true)
        let killed = try KilledAttempts(of: parent) { number, step in
            if case .moved = step { true } else { number.isMultiple(of: 20) }
        }
        let contents = try BackupContents(of: cluster.directory)
        try killed.during { try contents.copy(to: parent + "/backup") }
        var wholeCount = 0
        let states = try killed.states
        for state in states {
            let directory = state + "/backup"
            let isWhole = FileManager.default.fileExists(atPath: directory + "/cluster.toml")
            wholeCount += isWhole ? 1 : 0
            let error = configurationError { try contents.copy(to: directory) }
            #expect(error == (isWhole ? .directoryNotEmpty(path: directory) : nil), "\(state)")
            #expect(try BackupContents(of: directory).files == contents.files)
            #expect(try FileManager.default.contentsOfDirectory(atPath: state) == ["backup"], "\(state)")
        }
        #expect(wholeCount > 0 && states.count > wholeCount)
    }
}
