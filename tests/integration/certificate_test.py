"""A loss limit that is certified, and one that is not."""

import json

import numpy as np
from support import Case, images, main


class Certificate(Case):
    """Exit status, summary and recipe of a limit that the samples can show, and of one that they cannot."""

    def search(self, *arguments):
        done = self.run_program("quantize", self.net, "--calibration", self.calib, "--emit", "exact", *arguments, "--json", "-q",
                                "-o", self.out)
        return done.returncode, json.loads(done.stdout), done.stderr

    def validation(self, count):
        np.savez(self.folder / "validation.npz", image=images(count, seed=6))
        return "--validation", self.folder / "validation.npz"

    def test_a_limit_within_reach(self):
        status, document, errors = self.search(*self.validation(200), "--metric", "agreement", "--max-loss", "60%",
                                               "--require-certificate")
        self.assertEqual((status, errors, document["certified"]), (0, "", True))
        exact, = document["emissions"]
        self.assertEqual((exact["bound_method"], exact["samples"]), ("Clopper-Pearson", 100))
        self.assertLess(exact["loss"], exact["upper_bound"])
        self.assertLessEqual(exact["upper_bound"], 0.6)

    def test_too_few_samples(self):
        asked = (*self.validation(8), "--metric", "agreement", "--max-loss", "30%")
        status, document, errors = self.search(*asked, "--require-certificate")
        self.assertEqual((status, document["certified"]), (3, False))
        self.assertEqual(len(errors.splitlines()), 1, msg=errors)
        self.assertIn("not certified", errors)
        recipe = json.loads((self.out / "recipe.dnateq.json").read_text())
        self.assertFalse(recipe["metric"]["certified"])
        self.assertTrue((self.out / "model.xml").exists())
        self.assertTrue((self.out / "report.html").exists())
        self.assertEqual(self.search(*asked)[0], 0)

    def test_a_command_with_a_score_a_sample(self):
        script = self.folder / "judge.sh"
        script.write_text(f"echo '{json.dumps({'per_sample': 199 * [1] + [0]})}'\n")
        status, document, errors = self.search("--metric", f"command:sh {script}", "--metric-range", "0,1", "--max-loss", "10%",
                                               "--require-certificate")
        self.assertEqual((status, errors, document["certified"]), (0, "", True))
        self.assertEqual(document["emissions"][0]["bound_method"], "betting")
        self.assertEqual(document["emissions"][0]["samples"], 100)

    def test_a_command_with_one_number(self):
        status, document, _ = self.search("--metric", "command:echo 0.5 #", "--max-loss", "10%", "--require-certificate")
        self.assertEqual((status, document["certified"]), (3, False))

    def test_options_that_do_not_belong_together(self):
        self.refuses_to_quantize("--require-certificate", names="--require-certificate belongs to --max-drop")
        self.refuses_to_quantize("--max-loss", "1%", "--metric-range", "0,1", names="--metric-range belongs to")
        for given in ("1", "1,0", "a,b"):
            self.refuses_to_quantize("--max-loss", "1%", "--metric", "command:true", "--metric-range", given, names="--metric-range")


if __name__ == "__main__":
    main()
