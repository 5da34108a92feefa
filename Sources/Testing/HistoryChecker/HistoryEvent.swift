// What a client of a register did and saw: the events that histories are made of.

/// One event of a history: a line of its file.
package struct HistoryEvent: Hashable, Sendable {
    /// What happened.
    package enum Kind: String, Sendable {
        /// The operation began.
        case invoke
        /// It took effect between its invocation and now.
        case ok
        /// It did not and never will take effect.
        case fail
        /// Nobody knows: it may take effect at any time after its invocation, or never.
        case info
    }

    /// What was asked for.
    package enum Function: String, Sendable {
        case write, read, delete
        /// What a listing shows of the key. Regular and not atomic: the last write that was complete before it began, or
        /// one that was not.
        case list

        /// Whether it changes nothing, and its value is what was seen.
        package var isReading: Bool { self == .read || self == .list }
    }

    /// Who: a process has at most one operation open, and none any more after an `info`.
    package let process: String
    package let kind: Kind
    package let function: Function
    package let key: String
    /// What is written, or was read; nil for a deletion, for "not found", and where it is not known.
    package let value: String?
    /// By one clock for all processes.
    package let timeNanoseconds: Int64

    package init(
        process: String, kind: Kind, function: Function, key: String, value: String?, timeNanoseconds: Int64
    ) {
        self.process = process
        self.kind = kind
        self.function = function
        self.key = key
        self.value = value
        self.timeNanoseconds = timeNanoseconds
    }
}
