"""The generated tables in Korean: those of the English pages, with their words replaced."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from zoo.pretrained.registry import list_models, model_info

DESCRIPTIONS = Path(__file__).parent.parent / "zoo" / "demo" / "static" / "js" / "texts" / "members_ko.js"
"""The demo page has what the members are in Korean."""

WORDS = {
    # columns
    "Metric": "항목",
    "Value": "값",
    "another test set": "다른 테스트 데이터",
    "95 % interval of the mean": "평균의 95 % 구간",
    "2.5 to 97.5 %": "2.5~97.5 %",
    "by hand": "직접 작성",
    "by hand, flushed": "직접 작성, 0으로 처리",
    "changed setting": "바꾼 설정",
    "command": "명령",
    "does": "하는 일",
    "ECE, calibrated": "ECE, 보정됨",
    "epochs": "에폭",
    "figure": "그림",
    "gain in points": "차이(퍼센트포인트)",
    "images/s": "초당 이미지",
    "kinds with errors": "오류가 있는 종류",
    "labels": "레이블",
    "lecture": "강의",
    "mean accuracy": "평균 정확도",
    "mean ± sd": "평균 ± 표준편차",
    "member": "네트워크",
    "n of the table above": "위 표의 n",
    "network": "구조",
    "not pretrained": "사전 학습 없음",
    "one more run": "한 번 더 학습하면",
    "others with a note": "알림이 있는 나머지",
    "p, corrected": "p, 보정",
    "parameters": "매개변수",
    "peak memory in MiB": "최대 메모리(MiB)",
    "pictures": "그림",
    "pretrained": "사전 학습",
    "processor": "프로세서",
    "program": "프로그램",
    "ratio": "비율",
    "right": "맞음",
    "right with OpenCV": "OpenCV가 있을 때 맞음",
    "right without OpenCV": "OpenCV가 없을 때 맞음",
    "s per epoch": "에폭당 초",
    "script": "스크립트",
    "seconds of the whole run": "전체 시간(초)",
    "seconds of training": "학습 시간(초)",
    "seed": "시드",
    "taken for no digit, %": "숫자가 아니라고 본 것, %",
    "test accuracy, %": "테스트 정확도, %",
    "test errors": "테스트 오류",
    "test errors, mean ± sd": "테스트 오류, 평균 ± 표준편차",
    "time": "시간",
    "training": "학습",
    "validation errors": "검증 오류",
    # rows
    "accuracy of the recipe": "레시피의 정확도",
    "accuracy on another test set": "다른 테스트 데이터에서의 정확도",
    "calibration error": "보정 오차",
    "file": "파일",
    "license": "라이선스",
    "negative log-likelihood": "음의 로그 가능도",
    "as in the config": "설정 파일 그대로",
    "drawn digits": "그린 숫자",
    "hearts": "하트",
    "letters": "글자",
    "noise": "잡음",
    "photographs": "사진",
    "photographs for tuning": "조정용 사진",
    "photographs not for tuning": "조정에 쓰지 않은 사진",
    "test images": "테스트 이미지",
    # commands
    "train a member, or a network of your own": "zoo의 네트워크나 직접 만든 네트워크를 학습",
    "evaluate a checkpoint on the validation images": "검증 이미지로 체크포인트를 평가",
    "evaluate a checkpoint on the official 10,000 test images": "공식 테스트 이미지 10,000개로 체크포인트를 평가",
    "write a checkpoint's probabilities for the test images, and a picture": (
        "테스트 이미지에 대한 체크포인트의 확률과 그림을 저장"
    ),
    "say which digit a picture of your own shows": "자신의 그림이 어떤 숫자인지 예측",
    "compare members with each other, and combine their predictions": "네트워크를 서로 비교하고 예측을 합침",
    "list the members": "네트워크 목록을 출력",
    "say everything that is known of a member": "네트워크에 대해 알려진 것을 모두 출력",
    "check that the trained networks are what they should be": "학습된 네트워크가 올바른지 확인",
    "train a published recipe again and compare": "공개된 레시피를 다시 학습해서 비교",
    "train a recipe many times: seeds, settings, on one machine or many": (
        "한 레시피를 여러 번 학습: 여러 시드와 설정, 컴퓨터 한 대나 여러 대"
    ),
    "start a page to draw on, where every member classifies the digit": (
        "숫자를 그리면 모든 네트워크가 분류하는 페이지를 시작"
    ),
    "measure how fast members are trained, compared with baselines": "네트워크의 학습 속도를 재서 기준 프로그램과 비교",
    "draw pictures from real runs": "실제 학습 결과로 그림을 그림",
    "write a trained member for other programs: ONNX, safetensors, torch.export": (
        "학습된 네트워크를 다른 프로그램용으로 저장: ONNX, safetensors, torch.export"
    ),
    "upload a trained network to the Hugging Face hub": "학습된 네트워크를 Hugging Face 허브에 올림",
    "print what lets a shell complete these commands with the tab key": (
        "셸에서 탭 키로 이 명령들을 완성하게 하는 스크립트를 출력"
    ),
    "make the trained network that ships from a run": "학습 결과에서 함께 제공할 네트워크를 만듦",
}
"""What a cell of a table is in Korean. A cell that is not here, such as a number, stays as it is."""
KINDS = {
    "boxed": "네모",
    "circled": "동그라미",
    "crossed": "밑을 지나는 선",
    "desk": "책상",
    "edge": "한쪽 책상",
    "finger": "손가락",
    "font": "글꼴",
    "path": "획",
    "ruled": "줄",
    "shadow": "그림자",
    "squared": "모눈",
    "vignette": "비네팅",
}
"""The kinds of pictures, of which a cell has several, each with a count."""
PATTERNS: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"^([\d,]+) of ([\d,]+)$": r"\2개 중 \1개",
    r"\b(\d+) min\b": r"\1분",
    r"\b(\d+) s(?=$|, the fastest run$)": r"\1초",
    r", the fastest run$": ", 가장 빠른 결과",
    r"^([\d.]+) nats$": r"\1 nat",
    r"^([\d,]+) bytes$": r"\1바이트",
    r"^([\d.]+), calibrated (?=[\d.]+$)": r"\1, 보정 후 ",
    r"; trained on MNIST, which is (.+)$": r"; \1인 MNIST로 학습",
    r"\bratio (?=\d)": "비율 ",
    rf"\b({'|'.join(KINDS)}) (?=\d+/\d+)": lambda found: f"{KINDS[found[1]]} ",
}
"""What is replaced within a cell."""
CAPTION_PATTERNS = {
    r"(?:With )?(\d+) threads? on a processor (.+?)(?=, | \(|:|\):)": r"\2, 스레드 \1개",
    r", beside other work": ", 다른 작업과 함께",
    r"(\d+) cores of an (.+?)(?=, python)": r"\2, 코어 \1개",
    r" with (AVX-\d+)": r"(\1)",
}
"""What is replaced in the line above a table, which says where and by which command it was measured."""


def korean(block: str) -> str:
    """Return a generated block of an English page in Korean."""
    words = WORDS | descriptions()
    lines = []
    for line in block.splitlines():
        if line.startswith("| "):
            cells = [words.get(cell) or _replaced(cell, PATTERNS) for cell in line[2:-2].split(" | ")]
            lines.append(f"| {' | '.join(cells)} |")
        else:
            lines.append(_replaced(line, CAPTION_PATTERNS))
    return "\n".join(lines)


@functools.cache
def descriptions() -> dict[str, str]:
    """Return the description of each member in Korean, by the one in English."""
    section = DESCRIPTIONS.read_text(encoding="utf-8").partition("descriptions = {")[2].partition("};")[0]
    by_name = dict(re.findall(r'^  (\w+): "(.+)",$', section, flags=re.MULTILINE))
    return {model_info(name).description: by_name[name] for name in list_models() if name in by_name}


def _replaced(text: str, patterns: Mapping[str, str | Callable[[re.Match[str]], str]]) -> str:
    for pattern, replacement in patterns.items():
        text = re.sub(pattern, replacement, text)
    return text
