// The environment variable that forces a level. Levels are chosen once per process, so each case runs in its own.

import CFragmentCore
import Glibc
import Testing

/// Ends this process successfully if, with SOLIDUS_CPU_LEVEL set so, the active level is the expected one, or the
/// strongest one where none is named.
private func exitReporting(whetherVariable value: String, selects expected: String?) -> Never {
    setenv("SOLIDUS_CPU_LEVEL", value, 1)
    let strongest = String(cString: sfc_level_name(sfc_level_count() - 1))
    let active = String(cString: sfc_level_name(sfc_active_level()))
    exit(active == expected ?? strongest ? EXIT_SUCCESS : EXIT_FAILURE)
}

@Suite("The environment variable SOLIDUS_CPU_LEVEL")
struct LevelSelectionTests {
    @Test("forces the level it names")
    func namedLevel() async {
        await #expect(processExitsWith: .success) {
            exitReporting(whetherVariable: "portable", selects: "portable")
        }
    }

    @Test("leaves the strongest level in place when it names none or one the machine lacks")
    func unknownLevel() async {
        await #expect(processExitsWith: .success) {
            exitReporting(whetherVariable: "no such level", selects: nil)
        }
        await #expect(processExitsWith: .success) {
            exitReporting(whetherVariable: "", selects: nil)
        }
    }
}
