// Tests that take long, of which others of their kind run always: `make acceptance` runs them.

import Foundation
import Testing

extension Trait where Self == ConditionTrait {
    static var acceptance: Self {
        .enabled(
            if: ProcessInfo.processInfo.environment["SOLIDUS_ACCEPTANCE"] == "1", "it takes long: make acceptance")
    }
}

/// Arguments of a test of which few will do, but for `make acceptance`.
func acceptance<T>(_ all: [T], otherwise few: [T]) -> [T] {
    ProcessInfo.processInfo.environment["SOLIDUS_ACCEPTANCE"] == "1" ? all : few
}
