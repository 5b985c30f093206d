import MartletDistributed
import MartletPlatform

/// A launcher that starts the ranks of a run on this machine: `mpirun` with this very command.
enum RankLauncher {
    /// Replaces this process by mpirun.
    ///
    /// - Parameters:
    ///   - ranks: how many ranks run; each computes with its share of the cores unless `threads` says otherwise.
    /// - Returns: why mpirun could not be started.
    /// - Throws: ``CommunicationError`` where there is no MPI library.
    static func launch(_ ranks: Int, threads: Int?) throws(CommunicationError) -> CommunicationError {
        _ = try MPICommunicator.describe()
        try checkUser()
        var arguments = ["mpirun", "-np", "\(ranks)", "--bind-to", "none", CommandLine.arguments[0]]
        arguments += CommandLine.arguments.dropFirst()
        if threads == nil { arguments += ["--threads", "\(max(1, Processors.availableCores() / ranks))"] }
        // Open MPI counts slots, and this machine may have fewer than ranks were asked for.
        unsafe setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0)
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        unsafe execvp("mpirun", &pointers)
        let reason = unsafe String(cString: strerror(errno))
        return CommunicationError(
            "mpirun: \(reason); install an MPI, as by apt-get install openmpi-bin, to run \(ranks) ranks")
    }

    /// Open MPI's mpirun refuses root, with a page of text, unless two variables of the environment allow it.
    private static func checkUser() throws(CommunicationError) {
        let variables = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"]
        let isAllowed = variables.allSatisfy { unsafe getenv($0) != nil }
        guard geteuid() == 0, !isAllowed,
            let told = try? ChildProcess.run("mpirun", ["--version"], seeing: ["PATH"], input: [], limit: 1 << 12),
            String(decoding: told.output, as: UTF8.self).contains("Open MPI")
        else { return }
        throw CommunicationError(
            "mpirun: Open MPI runs nothing as root unless \(variables.joined(separator: "=1 and "))=1 are set; set them, or be another user"
        )
    }
}
