import { Tooltip } from "@mantine/core";

import type { ProblemView } from "../api/generated/types.gen";
import classes from "./chips.module.css";
import { useProblemWords } from "./problem-words";

export function ProblemChips({ problems }: { problems: ProblemView[] }) {
  const words = useProblemWords();
  const codes = [...new Map(problems.map((problem) => [problem.code, problem])).values()];
  return codes.map((problem) => {
    const { title, text } = words(problem);
    return (
      <Tooltip key={problem.code} label={text}>
        <span className={classes.problem}>{title}</span>
      </Tooltip>
    );
  });
}
