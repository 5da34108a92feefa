// What became of each of many, and of all.

import CommandOutcome

/// What was done with one file or object.
package enum ItemAction: String, Sendable, CaseIterable {
    case stored, read, copied, moved, deleted

    /// For a run that does nothing: "would be stored".
    var future: String { "would be \(rawValue)" }
}

/// How two ends that are compared differ in one file or object.
package enum ItemDifference: String, Sendable, CaseIterable {
    case content = "different"
    case onlyFile = "only_file"
    case onlyObject = "only_object"

    /// For people.
    var text: String {
        switch self {
        case .content: "different"
        case .onlyFile: "only in the folder"
        case .onlyObject: "only in the bucket"
        }
    }
}

/// What became of one.
package struct ItemOutcome: Sendable {
    package enum Kind: Sendable {
        case done(ItemAction, TransferredItem)
        /// It would have been.
        case planned(ItemAction, sizeBytes: UInt64)
        /// Nothing had to be done.
        case same
        /// Of what is only compared.
        case differs(ItemDifference)
        /// It is neither a file nor an object; why it is left alone.
        case leftOut(String)
        case failed(Failure)
    }

    package let path: [UInt8]
    package let kind: Kind
}

/// What was transferred, or deleted.
package struct TransferredItem: Sendable {
    package let sizeBytes: UInt64
    /// The full name of the object's version, if there is one.
    package let version: String?

    package init(sizeBytes: UInt64, version: String?) {
        self.sizeBytes = sizeBytes
        self.version = version
    }
}

/// Counts of a run.
package struct RunTally: Sendable, Equatable {
    package var done: [ItemAction: Int] = [:]
    package var planned: [ItemAction: Int] = [:]
    package var sameCount = 0
    package var differing: [ItemDifference: Int] = [:]
    /// Whether it was only compared.
    package var isComparison = false
    package var leftOutCount = 0
    package var failedCount = 0
    package var transferredBytes: UInt64 = 0
    /// How many were not deleted though it was asked for: the source was not seen to lack them.
    package var notDeletedCount = 0
    /// Why, and where.
    package var deletionsSuppressed: String?
    /// What failed, in the order in which it did.
    package var failedPaths: [[UInt8]] = []
    package var isInterrupted = false
    /// The exit codes of what failed.
    package var failures: Set<ExitStatus> = []

    package init() {}

    package mutating func add(_ outcome: ItemOutcome) {
        switch outcome.kind {
        case .done(let action, let item):
            done[action, default: 0] += 1
            if action != .deleted { transferredBytes += item.sizeBytes }
        case .planned(let action, let sizeBytes):
            planned[action, default: 0] += 1
            if action != .deleted { transferredBytes += sizeBytes }
        case .same: sameCount += 1
        case .differs(let difference): differing[difference, default: 0] += 1
        case .leftOut: leftOutCount += 1
        case .failed(let failure):
            failedCount += 1
            failedPaths.append(outcome.path)
            failures.insert(failure.status)
        }
    }

    /// Whether nothing was found at all.
    package var isEmpty: Bool {
        done.isEmpty && planned.isEmpty && sameCount == 0 && differing.isEmpty && leftOutCount == 0 && failedCount == 0
    }

    /// The exit code: *incomplete* when some went well and some did not; when nothing did, that of what failed, if all
    /// failed in the same way.
    package var status: ExitStatus {
        guard failedCount > 0 else {
            if deletionsSuppressed != nil { return .incomplete }
            return differing.isEmpty ? .success : .different
        }
        let nothingWentWell = done.isEmpty && planned.isEmpty && sameCount == 0 && differing.isEmpty
        if nothingWentWell, failures.count == 1, let only = failures.first { return only }
        return .incomplete
    }

    /// One line for people.
    package var text: String {
        var parts: [String] = []
        for action in ItemAction.allCases {
            // Only one of the actions transfers.
            let bytes = action != .deleted && transferredBytes > 0 ? " (\(transferredBytes) bytes)" : ""
            if let count = done[action] { parts.append("\(count) \(action.rawValue)\(bytes)") }
            if let count = planned[action] { parts.append("\(count) \(action.future)\(bytes)") }
        }
        for difference in ItemDifference.allCases {
            if let count = differing[difference] { parts.append("\(count) \(difference.text)") }
        }
        if parts.isEmpty, !isComparison { parts.append("nothing done") }
        if sameCount > 0 || parts.isEmpty { parts.append("\(sameCount) \(isComparison ? "same" : "unchanged")") }
        if leftOutCount > 0 { parts.append("\(leftOutCount) left out") }
        if failedCount > 0 { parts.append("\(failedCount) \(isComparison ? "NOT COMPARED" : "FAILED")") }
        let head = isInterrupted ? "interrupted; so far: " : ""
        let kept = deletionsSuppressed.map { "; \(notDeletedCount) not deleted: \($0)" } ?? ""
        return head + parts.joined(separator: ", ") + kept
    }
}
