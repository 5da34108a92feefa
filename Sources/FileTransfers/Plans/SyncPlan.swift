// What is to be done so that a target has what a source has: both are walked through side by side, in the order of
// paths.

import CommandOutcome
import DurableFiles

/// By what it is judged whether an item has to be transferred.
package enum Comparison: Equatable, Sendable {
    /// Everything is transferred.
    case none
    /// Size and time of modification.
    case sizeAndTime
    /// The tag, which is the content's digest; both are objects.
    case tags
    /// The object's tag and the file's content, which has to be read.
    case content
    /// What is at both ends is compared, whatever its size.
    case all
}

/// A step of a run.
package enum PlannedStep: Sendable {
    case transfer(TransferItem)
    /// Transfer it if the content is not that of the one that is there.
    case compare(TransferItem, with: TransferItem)
    /// The target has it already.
    case same(TransferItem)
    /// The source does not have it.
    case delete(TransferItem)
    /// What is said of it, and no more.
    case leave(TransferEntry)
}

/// Steps, in the order of paths. Holds none of them.
package struct SyncPlan<Source: TransferEntries, Target: TransferEntries> {
    /// What the target has: an item, or the folder that an object which marks one is there.
    private struct Present {
        let item: TransferItem
        let isFolder: Bool
    }

    private var source: Source
    /// Nil when it does not matter what is there.
    private var target: Target?
    private let comparison: Comparison
    private let deletes: Bool
    private var nextSource: TransferEntry?
    private var nextTarget: Present?
    /// Whether the next of each is to be fetched. What comes before a failure is handed out before it.
    private var sourceIsDue = true
    private var targetIsDue = true
    /// What the source has left out, as paths with a slash: nothing below is deleted.
    private var leftOut: [[UInt8]] = []

    /// - Parameter deletes: what the source does not have is to go.
    package init(source: Source, target: Target?, comparison: Comparison, deletes: Bool) {
        self.source = source
        self.target = target
        self.comparison = comparison
        self.deletes = deletes
    }

    /// What comes next; nil at the end.
    ///
    /// - Throws: why the source or the target cannot be listed. Nothing may be deleted then.
    package mutating func next() async throws(Failure) -> PlannedStep? {
        while true {
            if sourceIsDue {
                sourceIsDue = false
                nextSource = try await source.next()
            }
            if targetIsDue {
                targetIsDue = false
                if let gap = try await advanceTarget() {
                    targetIsDue = true
                    return .leave(gap)
                }
            }
            let extra = nextTarget.flatMap { target in
                nextSource.map { target.item.path.lexicographicallyPrecedes($0.path) } ?? true ? target : nil
            }
            if let extra {
                targetIsDue = true
                if deletes, !extra.isFolder, !isLeftOut(extra.item.path) { return .delete(extra.item) }
                continue
            }
            guard let entry = nextSource else { return nil }
            sourceIsDue = true
            guard let other = nextTarget, other.item.path == entry.path else { return step(entry, nil) }
            targetIsDue = true
            return step(entry, other)
        }
    }

    private mutating func step(_ entry: TransferEntry, _ present: Present?) -> PlannedStep {
        switch entry {
        case .item(let item):
            guard let present else { return .transfer(item) }
            if present.isFolder { return item.isFolderMark && comparison != .none ? .same(item) : .transfer(item) }
            let other = present.item
            switch comparison {
            case .none: return .transfer(item)
            case .all: return .compare(item, with: other)
            case .sizeAndTime, .tags, .content:
                guard item.sizeBytes == other.sizeBytes else { return .transfer(item) }
            }
            switch comparison {
            case .none, .all: return .transfer(item)
            case .sizeAndTime:
                let isSame =
                    isSameTime(
                        fileMilliseconds: item.modifiedMilliseconds, objectMilliseconds: other.modifiedMilliseconds)
                    || isSameTime(
                        fileMilliseconds: other.modifiedMilliseconds, objectMilliseconds: item.modifiedMilliseconds)
                return isSame ? .same(item) : .transfer(item)
            case .tags: return item.etag != nil && item.etag == other.etag ? .same(item) : .transfer(item)
            case .content: return .compare(item, with: other)
            }
        case .folder: return .leave(entry)
        case .leftOut(let path, _), .unusable(let path, _):
            if deletes { leftOut.append(path.last == UInt8(ascii: "/") ? path : path + [UInt8(ascii: "/")]) }
            return .leave(entry)
        case .gap:
            return .leave(entry)
        }
    }

    /// Whether the source has something there that was left out. Those that are behind are forgotten.
    private mutating func isLeftOut(_ path: [UInt8]) -> Bool {
        leftOut.removeAll { $0.lexicographicallyPrecedes(path) && !path.starts(with: $0) }
        return leftOut.contains { path.starts(with: $0) || $0.dropLast().elementsEqual(path) }
    }

    /// - Returns: a part of the target that could not be looked at.
    private mutating func advanceTarget() async throws(Failure) -> TransferEntry? {
        nextTarget = nil
        while let entry = try await target?.next() {
            switch entry {
            case .item(let item):
                nextTarget = Present(item: item, isFolder: false)
                return nil
            case .folder(let path, _):
                nextTarget = Present(item: TransferItem(path: path, sizeBytes: 0), isFolder: true)
                return nil
            case .leftOut, .unusable: continue
            case .gap: return entry
            }
        }
        return nil
    }
}

/// Whether the times of a file and of an object are the same, as far as the file's system can tell: some keep whole
/// seconds, some every other one. It is never asked which one is later, since the clocks are not the same.
func isSameTime(fileMilliseconds file: UInt64, objectMilliseconds object: UInt64) -> Bool {
    if file == object { return true }
    guard file.isMultiple(of: 1000), file <= object else { return false }
    return object - file < (file.isMultiple(of: 2000) ? 2000 : 1000)
}
