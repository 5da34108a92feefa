// What the storage tests share: a store in a directory of its own, a seeded generator, and ways to hurt files.

import ErasureCode
import Foundation
import ObjectStorage
import Testing

/// SplitMix64: the same seed gives the same test.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A directory that goes with the test, holding a store.
final class StoreFixture {
    let root: String
    let directory: String
    var options: StorageOptions

    init(options: StorageOptions = .small, creating: Bool = true) throws {
        root = NSTemporaryDirectory() + "/quorum-storage-" + UUID().uuidString
        directory = root + "/store"
        self.options = options
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        if creating { try ObjectStore.create(directory: directory, incarnation: 7, options: options) }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func open() throws -> ObjectStore {
        try ObjectStore(directory: directory, options: options)
    }

    /// A copy of the closed store as it is now.
    func copy() throws -> StoreFixture {
        let copy = try StoreFixture(options: options, creating: false)
        try FileManager.default.copyItem(atPath: directory, toPath: copy.directory)
        return copy
    }

    var journal: String { directory + "/journal" }

    /// The journal's segment files in order.
    func segmentPaths() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: journal).sorted().map { journal + "/" + $0 }
    }

    /// Offsets of the batches in a segment file, found by their magic.
    func batchOffsets(in path: String) throws -> [Int] {
        let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        return stride(from: 4096, to: bytes.count, by: 4096).filter {
            bytes[$0..<min($0 + 8, bytes.count)].elementsEqual("SOLBATCH".utf8)
        }
    }

    /// Bytes of disk that the journal's files occupy.
    func journalDiskBytes() throws -> Int {
        try segmentPaths().reduce(0) { sum, path in
            var information = stat()
            #expect(stat(path, &information) == 0)
            return sum + Int(information.st_blocks) * 512
        }
    }
}

extension StorageOptions {
    /// Small segments, and no demands on the free space of the machine that tests.
    static var small: StorageOptions {
        var options = StorageOptions()
        options.segmentSizeBytes = 128 << 10
        options.reservedFreeBytes = 0
        options.indexSetAsideBytes = 0
        options.restatingIntervalBytes = 1
        return options
    }
}

/// Overwrites bytes of a file.
func overwrite(_ path: String, at offset: Int, with bytes: [UInt8]) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: bytes)
    try file.close()
}

/// Turns over one bit of a file.
func flip(_ path: String, at offset: Int) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try file.seek(toOffset: UInt64(offset))
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: [byte ^ 0x10])
    try file.close()
}

func key(_ text: String) -> [UInt8] { Array(text.utf8) }

func version(_ number: Int) -> StoredVersion {
    StoredVersion([UInt8](repeating: 7, count: 48) + withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) })
}

func bytes(_ count: Int, seed: UInt64) -> SharedBytes {
    var generator = SeededGenerator(seed: seed)
    return SharedBytes(count: count) { target in
        for offset in stride(from: 0, to: count, by: 8) {
            withUnsafeBytes(of: generator.next()) { word in
                UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyBytes(from: word.prefix(count - offset))
            }
        }
    }
}

func put(_ number: Int, _ part: VersionPart, _ bytes: SharedBytes) -> PartPut {
    PartPut(version: version(number), part: part, bytes: bytes)
}

func put(_ number: Int, _ bytes: SharedBytes) -> PartPut {
    put(number, .descriptor, bytes)
}

extension ObjectStore {
    /// Applies mutations of which every one must be accepted.
    func applyAll(_ mutations: [ObjectMutation]) throws {
        for result in apply(mutations) { try result.get() }
    }

    func applyAll(_ mutations: [StoreMutation]) throws {
        for result in apply(mutations) { try result.get() }
    }

    /// Says all that is true again, so that nothing that was said before is needed any more.
    func restateAll() throws {
        while try restate(sizeBytesMax: 1 << 20).hasMore {}
        // Has a batch tell it.
        _ = try restate(sizeBytesMax: 1 << 20)
    }

    /// Reclaims until nothing is left that can be given back now.
    func reclaimAll() throws -> ReclaimProgress {
        var total = ReclaimProgress()
        while true {
            let step = try reclaim(limit: 16)
            total.rangeCount += step.rangeCount
            total.punchedSizeBytes += step.punchedSizeBytes
            total.removedSegmentCount += step.removedSegmentCount
            if !step.hasMore { return total }
        }
    }
}

extension Result where Failure == StorageError {
    var error: StorageError? {
        if case .failure(let error) = self { return error }
        return nil
    }
}

func contents(of path: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) }
