// What the command lines of several programs have in common.

import ArgumentParser
import QuorumProtocol

/// A verification mode as people write it.
///
/// A type of its own since help shows the raw value, here a number, as the default of an enumeration that has one.
package struct ModeArgument: ExpressibleByArgument, Hashable, Sendable {
    package let mode: VerificationMode

    package init(_ mode: VerificationMode) { self.mode = mode }

    package init?(argument: String) {
        guard let mode = VerificationMode.allCases.first(where: { $0.description == argument }) else { return nil }
        self.mode = mode
    }

    package var defaultValueDescription: String { mode.description }
    package static var allValueStrings: [String] { VerificationMode.allCases.map(\.description) }
    package static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}
