// Files in memory that behave as a bad day's: what was not synced may be lost at a crash, whole, by pages or by
// sectors; power may go in the middle of an operation; a sync may fail and leave pages that never reached the disk; the
// disk fills up, and rots. Names become durable in their order, as file systems with a journal do it.

import ErasureCode
import Glibc
import ObjectStorage
import Synchronization

/// A file system in memory.
package final class MemoryFiles: StorageFiles {
    package static let pageSizeBytes = 4096

    /// What goes wrong, in percent of the operations.
    package struct Troubles: Sendable {
        package var failedWrites = 0
        package var failedSyncs = 0

        package init() {}
    }

    /// One file: what programs see, and what the disk holds.
    fileprivate struct Node {
        var seen: [UInt8] = []
        var disk: [UInt8] = []
        /// Pages that differ, as far as the file system knows: it writes them at the next sync.
        var dirty: Set<Int> = []
        /// Pages that take room.
        var occupied: Set<Int> = []
        /// Whether `seen` has a size that the disk does not know yet.
        var isResized = false
    }

    fileprivate struct State {
        var dice: Dice
        var nodes: [Int: Node] = [:]
        var nextNode = 0
        var names: [String: Int] = [:]
        var directories: Set<String> = ["/"]
        /// Names that the disk has, and what happened to names since, in order.
        var diskNames: [String: Int] = [:]
        var nameChanges: [(name: String, node: Int?)] = []
        var locks: Set<String> = []
        var capacityBytes = Int.max
        var troubles = Troubles()
        var stepsLeft: Int?
        var isOff = false
    }

    fileprivate let state: Mutex<State>

    package init(dice: Dice) {
        state = Mutex(State(dice: dice))
    }

    // MARK: What the world does

    /// How much the disk holds.
    package func setCapacity(_ bytes: Int) { state.withLock { $0.capacityBytes = bytes } }

    package func setTroubles(_ troubles: Troubles) { state.withLock { $0.troubles = troubles } }

    /// Power goes while the `count`-th change from now on is made; never when nil.
    package func losePower(in count: Int?) { state.withLock { $0.stepsLeft = count } }

    package var isOff: Bool { state.withLock { $0.isOff } }

    package var occupiedBytes: Int { state.withLock { $0.occupiedBytes } }

    /// Power goes and comes back: of what was not synced, any part may be there.
    package func crash() { state.withLock { $0.crash() } }

    /// The process was killed in the middle of something, and the machine goes on: all that was written is seen.
    package func kill() {
        state.withLock { state in
            state.locks = []
            state.stepsLeft = nil
            state.isOff = false
        }
    }

    /// A step of something that shares the power with the disk; throws when it is off.
    package func step(_ path: String) throws(StorageError) {
        try state.withLock { (state) throws(StorageError) in
            if try state.begins(path) { throw .system("power lost at", path, EIO) }
        }
    }

    /// What the disk holds, to be put back after an excursion. Only while nothing is open.
    package func image() -> Image { Image(state: state.withLock { $0 }) }

    package func restore(_ image: Image) {
        state.withLock { state in
            let dice = state.dice
            state = image.state
            state.dice = dice
            state.locks = []
        }
    }

    /// A state of the whole disk.
    package struct Image {
        fileprivate let state: State
    }

    /// The files whose names start so, in order.
    package func paths(startingWith prefix: String) -> [String] {
        state.withLock { $0.names.keys.filter { $0.hasPrefix(prefix) }.sorted() }
    }

    package func contents(of path: String) -> [UInt8] {
        state.withLock { state in state.names[path].flatMap { state.nodes[$0]?.seen } ?? [] }
    }

    /// Changes what the disk holds of a file, and what programs see, behind everybody's back.
    package func damage(_ path: String, _ body: (inout [UInt8]) -> Void) {
        state.withLock { state in
            guard let number = state.names[path] else { return }
            state.alter(number) { node in
                body(&node.seen)
                node.disk = node.seen
                node.dirty = []
            }
        }
    }

    // MARK: StorageFiles

    package func makeDirectory(_ path: String) throws(StorageError) {
        try change(path) { (state) throws(StorageError) in _ = state.directories.insert(path) }
    }

    package func names(in directory: String) throws(StorageError) -> [String] {
        try state.withLock { (state) throws(StorageError) in
            try state.checkPower(directory)
            guard state.directories.contains(directory) else { throw .system("list", directory, ENOENT) }
            let prefix = directory + "/"
            let paths = Array(state.names.keys) + state.directories
            return paths.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
                .filter { !$0.contains("/") }.sorted()
        }
    }

    package func synchronizeDirectory(_ path: String) throws(StorageError) {
        try change(path) { (state) throws(StorageError) in
            try state.mayFail("fsync", path, state.troubles.failedSyncs)
            // A journal of the file system commits what came before, too.
            state.settleNames(state.nameChanges.count)
        }
    }

    package func create(_ path: String) throws(StorageError) -> any StorageFile {
        try change(path) { (state) throws(StorageError) in
            guard state.names[path] == nil else { throw .system("create", path, EEXIST) }
            let number = state.nextNode
            state.nextNode += 1
            state.nodes[number] = Node()
            state.rename(path, to: number)
            return MemoryFile(path: path, number: number, files: self)
        }
    }

    package func open(_ path: String, forWriting: Bool) throws(StorageError) -> (any StorageFile)? {
        try state.withLock { (state) throws(StorageError) in
            try state.checkPower(path)
            return state.names[path].map { MemoryFile(path: path, number: $0, files: self) }
        }
    }

    package func rename(_ path: String, to name: String) throws(StorageError) {
        try change(path) { (state) throws(StorageError) in
            guard let number = state.names[path] else { throw .system("rename", path, ENOENT) }
            state.rename(name, to: number)
            state.rename(path, to: nil)
        }
    }

    package func remove(_ path: String) throws(StorageError) {
        try change(path) { (state) throws(StorageError) in
            if state.names[path] != nil { state.rename(path, to: nil) }
        }
    }

    package func lock(_ path: String, creating: Bool) throws(StorageError) -> any Sendable & AnyObject {
        try state.withLock { (state) throws(StorageError) in
            try state.checkPower(path)
            guard state.locks.insert(path).inserted else { throw .locked(path: path) }
            return MemoryLock(path: path, files: self)
        }
    }

    package func capacityBytes(at path: String) -> UInt64? { nil }

    package func freeBytes(at path: String) -> UInt64? {
        state.withLock { UInt64(max($0.capacityBytes - $0.occupiedBytes, 0)) }
    }

    fileprivate func unlock(_ path: String) { state.withLock { _ = $0.locks.remove(path) } }

    /// A change that is made as a whole, unless power goes before.
    private func change<R>(
        _ path: String, _ body: (inout State) throws(StorageError) -> sending R
    ) throws(StorageError) -> R {
        try state.withLock { (state) throws(StorageError) in
            if try state.begins(path) { throw .system("power lost at", path, EIO) }
            return try body(&state)
        }
    }
}

private final class MemoryLock: Sendable {
    private let path: String
    private let files: MemoryFiles

    init(path: String, files: MemoryFiles) {
        self.path = path
        self.files = files
    }

    deinit { files.unlock(path) }
}

private final class MemoryFile: StorageFile {
    let path: String
    private let number: Int
    private let files: MemoryFiles

    init(path: String, number: Int, files: MemoryFiles) {
        self.path = path
        self.number = number
        self.files = files
    }

    func sizeBytes() throws(StorageError) -> UInt64 {
        try files.state.withLock { (state) throws(StorageError) in
            try state.checkPower(path)
            return UInt64(state.nodes[number]?.seen.count ?? 0)
        }
    }

    func readFromMemory(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        try read(into: target, at: offset)
    }

    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StorageError) -> Int {
        try files.state.withLock { (state) throws(StorageError) in
            try state.checkPower(path)
            guard let node = state.nodes[number], Int(offset) < node.seen.count else { return 0 }
            let found = node.seen[Int(offset)..<min(Int(offset) + target.count, node.seen.count)]
            target.copyBytes(from: found)
            return found.count
        }
    }

    func write(_ pieces: [SharedBytes], at offset: UInt64) throws(StorageError) {
        var bytes: [UInt8] = []
        for piece in pieces { piece.withUnsafeBytes { bytes.append(contentsOf: $0) } }
        try files.state.withLock { (state) throws(StorageError) in
            let isCut = try state.begins(path)
            let fails = state.dice.below(100) < state.troubles.failedWrites
            // Cut off or failing, it may have written any part of its bytes.
            let count = isCut || fails ? state.dice.below(bytes.count + 1) : bytes.count
            let written = state.write(number, bytes[..<count], at: Int(offset))
            if isCut { throw .system("power lost at", path, EIO) }
            if fails { throw .system("write", path, EIO) }
            guard written else { throw .system("write", path, ENOSPC) }
        }
    }

    func allocate(_ size: UInt64) throws(StorageError) {
        try files.state.withLock { (state) throws(StorageError) in
            if try state.begins(path) { throw .system("power lost at", path, EIO) }
            guard state.resize(number, to: Int(size), occupying: true) else {
                throw .system("allocate", path, ENOSPC)
            }
        }
    }

    func synchronize() throws(StorageError) { try synchronize(withSize: true) }

    func synchronizeData() throws(StorageError) { try synchronize(withSize: false) }

    private func synchronize(withSize: Bool) throws(StorageError) {
        try files.state.withLock { (state) throws(StorageError) in
            let isCut = try state.begins(path)
            let fails = state.dice.below(100) < state.troubles.failedSyncs
            guard isCut || fails else {
                state.synchronize(number, withSize: withSize)
                return
            }
            state.reachPartly(number)
            if isCut { throw .system("power lost at", path, EIO) }
            // The pages count as written now, whether they are or not.
            state.nodes[number]?.dirty = []
            throw .system(withSize ? "fsync" : "fdatasync", path, EIO)
        }
    }

    func dropCache() {
        files.state.withLock { state in
            state.alter(number) { node in
                for page in 0..<(node.seen.count / MemoryFiles.pageSizeBytes + 1) where !node.dirty.contains(page) {
                    MemoryFiles.State.copyPage(page, from: node.disk, to: &node.seen)
                }
            }
        }
    }

    func truncate(toBytes size: UInt64) throws(StorageError) {
        try files.state.withLock { (state) throws(StorageError) in
            if try state.begins(path) { throw .system("power lost at", path, EIO) }
            _ = state.resize(number, to: Int(size), occupying: false)
        }
    }

    func punchHole(at offset: UInt64, count: UInt64) throws(StorageError) {
        try files.state.withLock { (state) throws(StorageError) in
            if try state.begins(path) { throw .system("power lost at", path, EIO) }
            state.punch(number, Int(offset)..<Int(offset + count))
        }
    }
}

extension MemoryFiles.State {
    var occupiedBytes: Int {
        names.values.reduce(0) { $0 + (nodes[$1]?.occupied.count ?? 0) * MemoryFiles.pageSizeBytes }
    }

    func checkPower(_ path: String) throws(StorageError) {
        if isOff { throw .system("power is off at", path, EIO) }
    }

    /// Counts a change; whether power goes while it is made.
    mutating func begins(_ path: String) throws(StorageError) -> Bool {
        try checkPower(path)
        guard let left = stepsLeft else { return false }
        stepsLeft = left - 1
        guard left <= 1 else { return false }
        stepsLeft = nil
        isOff = true
        return true
    }

    mutating func mayFail(_ operation: String, _ path: String, _ percent: Int) throws(StorageError) {
        if dice.below(100) < percent { throw .system(operation, path, EIO) }
    }

    mutating func rename(_ name: String, to node: Int?) {
        names[name] = node
        nameChanges.append((name, node))
    }

    /// Makes the first `count` changes of names durable.
    mutating func settleNames(_ count: Int) {
        for (name, node) in nameChanges.prefix(count) { diskNames[name] = node }
        nameChanges.removeFirst(count)
    }

    /// Changes a node where it lies, so that its bytes are not copied for that.
    mutating func alter(_ number: Int, _ body: (inout MemoryFiles.Node) -> Void) {
        guard let index = nodes.index(forKey: number) else { return }
        body(&nodes.values[index])
    }

    private func pages(_ range: Range<Int>) -> Range<Int> {
        range.isEmpty
            ? 0..<0
            : range.lowerBound / MemoryFiles.pageSizeBytes..<(range.upperBound - 1) / MemoryFiles.pageSizeBytes + 1
    }

    private func hasRoom(for count: Int) -> Bool {
        capacityBytes == .max || occupiedBytes + count * MemoryFiles.pageSizeBytes <= capacityBytes
    }

    /// False when there is no room for all of it.
    mutating func write(_ number: Int, _ bytes: ArraySlice<UInt8>, at offset: Int) -> Bool {
        guard !bytes.isEmpty, let occupied = nodes[number]?.occupied else { return true }
        let touched = pages(offset..<offset + bytes.count)
        let newCount = touched.count { !occupied.contains($0) }
        guard newCount == 0 || hasRoom(for: newCount) else { return false }
        alter(number) { node in
            if node.seen.count < offset + bytes.count {
                Self.fit(&node.seen, to: offset + bytes.count)
                node.isResized = true
            }
            Self.replace(offset..<offset + bytes.count, of: &node.seen, with: bytes)
            node.dirty.formUnion(touched)
            if newCount > 0 { node.occupied.formUnion(touched) }
        }
        return true
    }

    mutating func resize(_ number: Int, to size: Int, occupying: Bool) -> Bool {
        guard let occupied = nodes[number]?.occupied else { return true }
        let all = Set(pages(0..<size))
        if occupying, !hasRoom(for: all.subtracting(occupied).count) { return false }
        alter(number) { node in
            if occupying { node.occupied.formUnion(all) } else { node.occupied.formIntersection(all) }
            Self.fit(&node.seen, to: size)
            node.dirty.formIntersection(all)
            node.isResized = true
        }
        return true
    }

    mutating func punch(_ number: Int, _ range: Range<Int>) {
        let touched = pages(range)
        alter(number) { node in
            let end = min(range.upperBound, node.seen.count)
            guard range.lowerBound < end else { return }
            for offset in range.lowerBound..<end { node.seen[offset] = 0 }
            node.occupied.subtract(touched)
            node.dirty.formUnion(touched)
        }
    }

    mutating func synchronize(_ number: Int, withSize: Bool) {
        alter(number) { node in
            if withSize || !node.isResized {
                if node.isResized { Self.fit(&node.disk, to: node.seen.count) }
                node.isResized = false
            }
            for page in node.dirty { Self.copyPage(page, from: node.seen, to: &node.disk) }
            node.dirty = []
        }
    }

    static func fit(_ bytes: inout [UInt8], to count: Int) {
        if bytes.count > count {
            bytes.removeLast(bytes.count - count)
        } else {
            bytes += [UInt8](repeating: 0, count: count - bytes.count)
        }
    }

    static func copyPage(_ page: Int, from source: [UInt8], to target: inout [UInt8]) {
        let start = page * MemoryFiles.pageSizeBytes
        let end = min(start + MemoryFiles.pageSizeBytes, source.count, target.count)
        guard start < end else { return }
        replace(start..<end, of: &target, with: source[start..<end])
    }

    private static func replace(_ range: Range<Int>, of target: inout [UInt8], with source: ArraySlice<UInt8>) {
        target.withUnsafeMutableBytes { target in
            source.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: target[range]).copyMemory(from: $0) }
        }
    }

    /// Some of what was not synced reaches the disk: all of a page, none of it, or some of its sectors.
    mutating func reachPartly(_ number: Int) {
        var dice = dice
        alter(number) { node in
            if node.isResized, dice.chance(50) {
                Self.fit(&node.disk, to: node.seen.count)
                node.isResized = false
            }
            // Most often a part of the pages; at times all or none of them.
            let percent = dice.pick([0, 30, 70, 95, 100])
            for page in node.dirty.sorted() {
                guard dice.chance(percent) else { continue }
                guard dice.chance(10) else {
                    Self.copyPage(page, from: node.seen, to: &node.disk)
                    continue
                }
                for sector in 0..<MemoryFiles.pageSizeBytes / 512 where dice.chance(50) {
                    let start = page * MemoryFiles.pageSizeBytes + sector * 512
                    let end = min(start + 512, node.seen.count, node.disk.count)
                    guard start < end else { break }
                    Self.replace(start..<end, of: &node.disk, with: node.seen[start..<end])
                }
            }
        }
        self.dice = dice
    }

    mutating func crash() {
        settleNames(nameChanges.isEmpty ? 0 : dice.below(nameChanges.count + 1))
        nameChanges = []
        names = diskNames
        let living = Set(names.values)
        for number in nodes.keys.sorted() {
            guard living.contains(number) else {
                nodes[number] = nil
                continue
            }
            reachPartly(number)
            nodes[number]!.seen = nodes[number]!.disk
            nodes[number]!.dirty = []
            nodes[number]!.isResized = false
        }
        locks = []
        stepsLeft = nil
        isOff = false
    }
}
