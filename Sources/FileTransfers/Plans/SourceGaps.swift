// Where a source was not seen, or not read, in full: who does not know what it has there deletes nothing there.

/// Paths below which it is not known what the source has.
package struct SourceGaps: Sendable, Equatable {
    /// Of more gaps nobody keeps the places: then all is one.
    private static let countMax = 10_000

    /// With a slash at their end; the empty one is all there is.
    private var folders: Set<[UInt8]> = []
    /// Which may be files or folders.
    private var names: Set<[UInt8]> = []
    /// Why, for people: that of the first.
    package private(set) var reason: String?

    package init() {}

    package var isEmpty: Bool { folders.isEmpty && names.isEmpty }

    /// What is at or below this path could not be looked at; the empty path is all there is.
    package mutating func add(_ path: [UInt8], _ reason: String) {
        self.reason = self.reason ?? reason
        if path.isEmpty || path.last == UInt8(ascii: "/") { folders.insert(path) } else { names.insert(path) }
        if folders.count + names.count > Self.countMax {
            folders = [[]]
            names = []
        }
    }

    /// A file could not be read: what else its folder has is as doubtful.
    package mutating func add(folderOf path: [UInt8], _ reason: String) {
        let slash = path.dropLast().lastIndex(of: UInt8(ascii: "/"))
        add(slash.map { Array(path[...$0]) } ?? [], reason)
    }

    /// Whether the source may have this path after all.
    package func covers(_ path: [UInt8]) -> Bool {
        if isEmpty { return false }
        if folders.contains([]) || names.contains(path) { return true }
        for slash in path.indices where path[slash] == UInt8(ascii: "/") {
            if folders.contains(Array(path[...slash])) || names.contains(Array(path[..<slash])) { return true }
        }
        return false
    }

    /// The places for people, few of them; nil when it is all there is.
    package var places: String? {
        if folders.contains([]) { return nil }
        let all = (folders.union(names)).sorted { $0.lexicographicallyPrecedes($1) }
        let shown = all.prefix(3).map { $0.readablePath.printable }.joined(separator: ", ")
        return all.count > 3 ? "\(shown) and \(all.count - 3) more" : shown
    }
}
