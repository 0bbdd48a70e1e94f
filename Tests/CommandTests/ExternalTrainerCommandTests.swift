import Foundation
import Testing

/// Federations whose sites train with another program, here a few lines of shell.
@Suite struct ExternalTrainerCommandTests {
    let command: CommandRunner

    init() throws { command = try CommandRunner() }

    /// Gives the adapter back as it is: an update of zero, or itself as every record's gradient. The first
    /// conversation of all ends in a crash.
    private func trainer() throws -> String {
        try command.write(
            #"""
            read -r request
            field() { printf '%s' "$request" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
            adapter=$(field adapter)/adapter_model.safetensors answer=$(field answer)
            mkdir "$1" 2>/dev/null && exit 7
            if [ "$(field want)" = update ]; then
                cp "$adapter" "$answer/adapter_model.safetensors"
            else
                i=0
                while read -r record; do
                    cp "$adapter" "$answer/gradient-$(printf %06d $i).safetensors"
                    i=$((i + 1))
                done < "$(field examples)"
            fi
            echo '{"type":"done"}'
            """#, to: "trainer.sh")
    }

    private func simulate(_ settings: [String]) throws -> CommandRunner.Result {
        _ = try command.run("init", "w")
        let script = try trainer()
        let mark = command.path("crashed")
        return try command.run(
            [
                "simulate", command.path("w/federation.yaml"), "--seed", "5", "--json", "--set",
                "rounds.count=2", "--set", "rounds.minCohort=6",
                "--set", "data.recordsPerSite=24", "--set", "data.heldOutCount=12", "--set",
                "simulation.lose=[]",
                "--set", "trainer.command=[sh, \(script), \(mark)]", "--set", "trainer.timeoutSeconds=60",
            ] + settings)
    }

    @Test func aCrashedTrainerLosesItsSiteForTheRoundAndCostsItNothing() throws {
        let run = try simulate([])
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.data["survivorsPerRound"] as? [Int] == [7, 8])
        // Whichever site was the first to have drawn a record.
        #expect(run.errors.contains("is lost: the trainer ended with status 7 before it was done"))
        #expect(run.errors.contains("its price was returned"))
        #expect(try command.run("audit", command.path("w/runs/0001")).status == 0)
        let folder = command.path("w/runs/0001/clients")
        let returned = try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { $0.hasSuffix(".jsonl") }
            .filter { try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8).contains("ended early") }
        #expect(returned.count == 1)
    }

    @Test func aWholeClientsUpdateComesFromTheTrainer() throws {
        let run = try simulate([
            "--set", "privacy.unit=client", "--set", "training.algorithm=fedavg", "--set",
            "privacy.epsilon=50",
        ])
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.data["survivorsPerRound"] as? [Int] == [7, 8])
    }

    @Test func aTrainerSectionWithoutAProgramIsRefused() throws {
        _ = try command.run("init", "w")
        for (setting, word) in [
            ("trainer.command=[]", "names no program"),
            ("trainer.command=[sh] --set trainer.comand=[sh]", "comand"),
            (
                "trainer.command=[sh] --set training.algorithm=fedprox --set privacy.unit=client",
                "this is fedprox"
            ),
            ("trainer.command=[sh] --set privacy.unit=none", "privacy.unit is none"),
        ] {
            let run = try command.run(
                ["plan", command.path("w/federation.yaml"), "--json", "--set"]
                    + setting.split(separator: " ").map(String.init))
            #expect(run.status == 78, "\(run.output)")
            #expect((run.error["message"] as? String ?? "").contains(word), "\(run.output)")
        }
    }
}
