// Cases of tests that run in several verification modes.

import QuorumProtocol
import Testing

/// What a test does, in one mode.
struct ModeCase<Action: Sendable>: Sendable, CustomTestStringConvertible {
    let mode: VerificationMode
    let action: Action

    var testDescription: String { "\(mode), \(action)" }
}

/// The cases of a test, mode by mode. In `fingerprint`, whose rules most of the others share, tests try everything; in
/// the others it is enough to try what their own rules are about.
func casesByMode<Action>(_ actions: [VerificationMode: [Action]]) -> [ModeCase<Action>] {
    VerificationMode.allCases.flatMap { mode in
        actions[mode, default: []].map { ModeCase(mode: mode, action: $0) }
    }
}
