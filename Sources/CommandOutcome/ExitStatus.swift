// The exit codes, the same for every command: the one place where they are defined and described.

/// What the process's exit code says.
package enum ExitStatus: Int32, CaseIterable {
    case success = 0
    case unexpected = 1
    case notFound = 3
    case unavailable = 4
    case refused = 5
    case configuration = 6
    case inputOutput = 7
    case notLinearizable = 8
    case stalled = 9
    case undecided = 10
    case partial = 11
    case incomplete = 12
    case sourceChanged = 13
    case different = 14
    case usage = 64
    case hungUp = 129
    case interrupted = 130
    case terminated = 143

    /// The code's name in JSON.
    package var name: String {
        switch self {
        case .success: "success"
        case .unexpected: "unexpected"
        case .notFound: "not_found"
        case .unavailable: "unavailable"
        case .refused: "refused"
        case .configuration: "configuration"
        case .inputOutput: "input_output"
        case .notLinearizable: "not_linearizable"
        case .stalled: "stalled"
        case .undecided: "undecided"
        case .partial: "partial"
        case .incomplete: "incomplete"
        case .sourceChanged: "source_changed"
        case .different: "different"
        case .usage: "usage"
        case .hungUp: "hung_up"
        case .interrupted: "interrupted"
        case .terminated: "terminated"
        }
    }

    /// The code's meaning in the help text.
    package var meaning: String {
        switch self {
        case .success: "success"
        case .unexpected: "an error inside solidus"
        case .notFound: "the object, or the bucket, does not exist"
        case .unavailable: "too few servers answered within the time limit"
        case .refused: "the servers, or the limits of the store, refuse what was asked"
        case .configuration: "a configuration file, key or certificate is missing, wrong or expired"
        case .inputOutput: "a local file, disk, port or store cannot be used"
        case .notLinearizable: "the history is not linearizable"
        case .stalled: "operations stopped, or a server failed or did not heal, although no more failed than may"
        case .undecided: "the history was too hard to judge, or a file proves nothing"
        case .partial: "done in part: not for all that was asked for"
        case .incomplete: "some of many were done, others failed; each is named"
        case .sourceChanged: "a file was changed while it was read, and was not stored"
        case .different: "what was compared is not the same at both ends"
        case .usage: "wrong arguments"
        case .hungUp: "ended by SIGHUP"
        case .interrupted: "ended by SIGINT (Ctrl-C)"
        case .terminated: "ended by SIGTERM"
        }
    }

    /// The table for the help text.
    package static var table: String {
        let rows = allCases.map { status in
            let number = String(status.rawValue)
            return "  " + String(repeating: " ", count: 3 - number.count) + "\(number)  \(status.meaning)"
        }
        return (["Exit codes:"] + rows).joined(separator: "\n")
    }
}
